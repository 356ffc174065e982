//! Gated actions, in chat: asked for, looked at, withdrawn.

use super::words::{self, refused};
use super::{Chat, Error, Speaker, refusing};
use crate::approvals::{Ask, Origin, View};
use crate::chat::{Gated, Reply, Tone};
use crate::identity::{Role, UserRef, Who};

impl Chat {
    pub(super) async fn ask(&self, speaker: &Speaker, gated: Gated) -> Result<Reply, Error> {
        let mut heard = speaker.heard();
        if let Some(heard) = &mut heard {
            heard.success = Some(gated.success);
        }
        let ask = Ask {
            action: gated.action,
            requester: Who::User(UserRef::Id(speaker.user.id)),
            reason: None,
            origin: Some(Origin {
                platform: speaker.place.platform.clone(),
                workspace: speaker.place.workspace.clone(),
                room: speaker.place.room.clone(),
                message: speaker.said.message.as_ref().map(|message| message.as_str().to_owned()),
            }),
            expires_in: None,
            bound_to: None,
        };
        let requested = match self.approvals.request(&speaker.once("ask", heard), ask).await {
            Ok(requested) => requested,
            Err(failure) => return refusing::approvals(speaker, failure),
        };
        let view = match self.approvals.find(&speaker.call(), requested.id).await {
            Ok(view) => view,
            Err(failure) => return refusing::approvals(speaker, failure),
        };
        let mut reply = self.request_now(&view, speaker.now).await?;
        let tag = &view.approval.tag;
        reply.whisper = requested.code.map(|code| format!("The code for request {tag} is {}: your phone asks for it.", code.expose()));
        Ok(reply)
    }

    /// A request as it stands, in the words of where it was asked.
    pub(in crate::chat) async fn request_now(&self, view: &View, now: crate::clock::Timestamp) -> Result<Reply, Error> {
        let id = view.approval.id;
        let success = self
            .store
            .look(move |db| Box::pin(async move { crate::identity::chat::messages::success(db, id).await }))
            .await
            .map_err(Error::Db)?;
        Ok(words::request(view, success.as_deref(), &self.issuer, now))
    }

    pub(super) async fn request(&self, speaker: &Speaker, tag: &str) -> Result<Reply, Error> {
        match self.approvals.tagged(&speaker.call(), tag).await {
            Ok(view) => self.request_now(&view, speaker.now).await,
            Err(failure) => refusing::approvals(speaker, failure),
        }
    }

    pub(super) async fn cancel(&self, speaker: &Speaker, tag: &str) -> Result<Reply, Error> {
        let view = match self.approvals.tagged(&speaker.call(), tag).await {
            Ok(view) => view,
            Err(failure) => return refusing::approvals(speaker, failure),
        };
        let (tag, id) = (&view.approval.tag, view.approval.id);
        if view.approval.requester != speaker.user.id && speaker.user.role != Role::Admin {
            return Ok(refused(format!(
                "Request {tag} is {}'s: they cancel it, or an administrator. If you are asked to approve it, deny it on your phone.",
                words::name(&view.requester)
            )));
        }
        if !view.approval.is_open() {
            let mut reply = self.request_now(&view, speaker.now).await?;
            reply.text = format!("Nothing to cancel: {}", reply.title.clone().unwrap_or_else(|| format!("request {tag} is over")));
            return Ok(reply);
        }
        if let Err(failure) = self.approvals.cancel(&speaker.call(), id).await {
            return refusing::approvals(speaker, failure);
        }
        match self.approvals.find(&speaker.call(), id).await {
            Ok(view) => self.request_now(&view, speaker.now).await.map(|reply| Reply { tone: Tone::Over, ..reply }),
            Err(failure) => refusing::approvals(speaker, failure),
        }
    }
}
