//! The commands of chat as they are kept. Declaring one is done at once; what changes the meaning of a line that had one is an act.

use std::sync::{Arc, PoisonError};

use super::acts::Change;
use super::{Changed, Error, Policies, Refused, store};
use crate::approvals::commands::{self, Commands, Declaration, Declared};
use crate::db::{self, Db, Tx};
use crate::identity::{Call, Handle};

/// More commands than this are a mistake.
const MOST: usize = 200;

impl Policies {
    /// The commands of chat that hold, ready to take lines. They are compiled once for each head of the policies.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn commands(&self, db: &mut Db<'_>) -> db::Result<Arc<Commands>> {
        let head = store::head(db).await?;
        let known = self.commands.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, commands)) = known.filter(|(known, _)| *known == head) {
            return Ok(commands);
        }
        let declared = commands::store::list(db).await?.into_iter().map(|kept| kept.declaration).collect();
        let broken = |error: commands::Invalid| db::Error::inconsistent("commands", "a declaration", error.to_string());
        let commands = Arc::new(Commands::new(declared).map_err(broken)?);
        *self.commands.lock().unwrap_or_else(PoisonError::into_inner) = Some((head, commands.clone()));
        Ok(commands)
    }

    /// As [`Policies::commands`], read by itself.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn current_commands(self: &Arc<Self>) -> db::Result<Arc<Commands>> {
        let this = self.clone();
        self.store.read(move |db| Box::pin(async move { this.commands(db).await })).await
    }

    /// The declared commands, by name.
    ///
    /// # Errors
    /// Only administrators may see them.
    pub async fn declared_commands(&self, call: &Call) -> Result<Vec<Declared>, Error> {
        call.admin()?;
        Ok(self.store.read(|db| Box::pin(commands::store::list(db))).await?)
    }

    /// One declared command.
    ///
    /// # Errors
    /// Only administrators may see it; there may be none of that name.
    pub async fn declared_command(&self, call: &Call, name: &Handle) -> Result<Declared, Error> {
        let found = self.declared_commands(call).await?.into_iter().find(|kept| kept.declaration.name == *name);
        found.ok_or_else(|| missing(name).into())
    }

    /// Declares a command, or proposes it when it changes what a line means.
    ///
    /// # Errors
    /// Only administrators may; it must make sense beside all others.
    pub async fn declare_command(&self, call: &Call, command: Declaration) -> Result<Changed<Declared>, Error> {
        call.admin()?;
        let name = command.name.clone();
        match self.change(call, Change::SetCommand { command }).await? {
            Changed::Waits(act) => Ok(Changed::Waits(act)),
            Changed::Made(()) => Ok(Changed::Made(self.declared_command(call, &name).await?)),
        }
    }

    /// Proposes to take a command away.
    ///
    /// # Errors
    /// Only administrators may; there may be none of that name.
    pub async fn remove_command(&self, call: &Call, name: Handle) -> Result<Changed<()>, Error> {
        call.admin()?;
        self.change(call, Change::RemoveCommand { name }).await
    }
}

fn missing(name: &Handle) -> Refused {
    Refused::NotFound(format!("command {name}"))
}

/// Why declaring a command weakens, if it does. It has to make sense beside the others.
pub(super) async fn set_weakens(tx: &mut Tx<'_>, command: &Declaration) -> Result<Option<String>, Error> {
    let kept: Vec<Declaration> = commands::store::list(tx.db()).await?.into_iter().map(|kept| kept.declaration).collect();
    let before = kept.iter().find(|kept| kept.name == command.name);
    let others: Vec<Declaration> = kept.iter().filter(|kept| kept.name != command.name).cloned().collect();
    if others.len() >= MOST {
        return Err(
            Refused::Invalid(commands::Invalid { field: "name".into(), why: "there are 200 commands already".into() }).into()
        );
    }
    Commands::new(others.into_iter().chain([command.clone()]).collect()).map_err(Refused::Invalid)?;
    let name = &command.name;
    Ok(match before {
        Some(before) if before == command => None,
        Some(_) => Some(format!("what is said with command {name} would ask for something else")),
        None if commands::built_in().iter().any(|built_in| built_in.name == *name) => {
            Some(format!("what is said with the built-in command {name} would ask for something else"))
        }
        None => None,
    })
}

/// Why taking a command away weakens.
pub(super) async fn removal_weakens(tx: &mut Tx<'_>, name: &Handle) -> Result<String, Error> {
    if !commands::store::list(tx.db()).await?.iter().any(|kept| kept.declaration.name == *name) {
        return Err(missing(name).into());
    }
    Ok(if commands::built_in().iter().any(|built_in| built_in.name == *name) {
        format!("what is said with command {name} would ask for what is built in")
    } else {
        format!("what is said with command {name} would ask for nothing any more")
    })
}
