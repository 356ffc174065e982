//! Commands of chat, told as stories: what a line asks for is declared by administrators, and changed only under a passkey.

crate::world::stories! {
    a_command_is_declared_changed_and_taken_away
    what_is_built_in_changes_only_under_a_passkey
    what_makes_no_sense_is_not_declared
    a_proposal_is_judged_against_the_commands_it_changes
}

mod stories {
    use phoneops::chat::{self, Command, Vocabulary};
    use serde_json::{Value, json};

    use crate::world::{World, phone_refused, refused};

    const RESTART: &str = "/v1/chat/commands/restart";

    fn restart(kind: &str) -> Value {
        json!({"pattern": "restart (?<service>[a-z-]+) in (?<environment>[a-z]+)",
            "action": {"type": kind, "target": "{environment}", "params": {"service": "{service}"}},
            "success": "you are restarting {service} in {environment}", "help": "restart a service",
            "example": "restart web in production"})
    }

    /// The type of the action that a line asks for now, by what the server says is declared.
    async fn asked(world: &World, line: &str) -> Option<String> {
        let listed = world.operator.get("/v1/chat/commands").await.unwrap().body["commands"].clone();
        let mut declared = Vec::new();
        for mut command in listed.as_array().unwrap().clone() {
            let members = command.as_object_mut().unwrap();
            members.remove("changed_at");
            if members.remove("built_in") == Some(json!(false)) {
                declared.push(serde_json::from_value(command).unwrap());
            }
        }
        let commands = phoneops::approvals::commands::Commands::new(declared).unwrap();
        match chat::parse(line, &Vocabulary::new(commands.into())) {
            Ok(Command::Gated(gated)) => Some(gated.action.kind),
            _ => None,
        }
    }

    pub(crate) async fn a_command_is_declared_changed_and_taken_away(world: &World) {
        let ada = world.administrator("ada", "Ada Byron").await;
        let line = "Restart web in production";
        assert_eq!(asked(world, line).await, None);
        let made = world.operator.put(RESTART, &restart("restart")).await.unwrap();
        assert_eq!((made.status, &made.body["built_in"], &made.body["name"]), (200, &json!(false), &json!("restart")));
        assert_eq!(asked(world, line).await.as_deref(), Some("restart"));
        // The same once more changes nothing, and is nothing to confirm.
        assert_eq!(world.operator.put(RESTART, &restart("restart")).await.unwrap().status, 200);
        let act = world.operator.put(RESTART, &restart("reboot")).await.unwrap();
        assert_eq!((act.status, &act.body["change"]["kind"]), (202, &json!("command.set")));
        assert_eq!(act.body["why"], "what is said with command restart would ask for something else");
        assert_eq!(asked(world, line).await.as_deref(), Some("restart"), "not before it is confirmed");
        ada.phone.confirm_act(&act.body).await.unwrap();
        assert_eq!(asked(world, line).await.as_deref(), Some("reboot"));
        let act = world.operator.delete(RESTART).await.unwrap();
        assert_eq!((act.status, &act.body["change"]["kind"]), (202, &json!("command.removed")));
        ada.phone.confirm_act(&act.body).await.unwrap();
        assert_eq!(asked(world, line).await, None);
        refused(world.operator.get(RESTART).await, "not_found");
        refused(world.operator.delete(RESTART).await, "not_found");
        assert_eq!((world.recorded("command.set").await, world.recorded("command.removed").await), (3, 1));
    }

    pub(crate) async fn what_is_built_in_changes_only_under_a_passkey(world: &World) {
        let ada = world.administrator("ada", "Ada Byron").await;
        let listed = world.operator.get("/v1/chat/commands").await.unwrap().body["commands"].clone();
        let names: Vec<_> = listed.as_array().unwrap().iter().map(|command| command["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["approve", "deploy", "merge"]);
        refused(world.operator.delete("/v1/chat/commands/deploy").await, "not_found");
        let ship = json!({"pattern": "deploy (?<app>[a-z]+)", "action": {"type": "ship", "target": "{app}"},
            "success": "you are shipping {app}", "help": "ship an app", "example": "deploy api"});
        let act = world.operator.put("/v1/chat/commands/deploy", &ship).await.unwrap();
        assert_eq!(act.status, 202);
        ada.phone.confirm_act(&act.body).await.unwrap();
        assert_eq!(asked(world, "deploy api").await.as_deref(), Some("ship"));
        assert_eq!(asked(world, "deploy api/new_auth to production").await, None);
        let back = world.operator.delete("/v1/chat/commands/deploy").await.unwrap();
        assert_eq!(back.body["why"], "what is said with command deploy would ask for what is built in");
        ada.phone.confirm_act(&back.body).await.unwrap();
        assert_eq!(asked(world, "deploy api/new_auth to production").await.as_deref(), Some("deploy"));
    }

    pub(crate) async fn what_makes_no_sense_is_not_declared(world: &World) {
        let member = world.person("yannick", "Yannick Schutz").await;
        phone_refused(member.phone.get("/v1/chat/commands").await.unwrap().accepted(), "forbidden");
        for (member, value) in [
            ("pattern", json!("page (?<service>[a-z]+) in (?<environment>[a-z]+)")),
            ("pattern", json!("restart (?<service>[a-z]+")),
            ("pattern", json!("restart (?<service>[a-z-]+) in (?<environment>[a-z]+)(?<more>.*)")),
            ("action", json!({"type": "{service}", "target": "{environment}", "params": {"service": "{service}"}})),
            ("success", json!("you are restarting {host}")),
            ("example", json!("restart web")),
        ] {
            let mut says = restart("restart");
            says[member] = value;
            let error = world.operator.put(RESTART, &says).await.expect_err("it makes no sense");
            assert_eq!(error.code(), Some("invalid_request"), "{says}");
            assert!(error.to_string().contains(member), "{error}");
        }
        assert_eq!(world.recorded("command.set").await, 0);
        // Two that would take each other's example.
        world.operator.put(RESTART, &restart("restart")).await.unwrap();
        refused(world.operator.put("/v1/chat/commands/again", &restart("again")).await, "invalid_request");
    }

    pub(crate) async fn a_proposal_is_judged_against_the_commands_it_changes(world: &World) {
        let ada = world.administrator("ada", "Ada Byron").await;
        world.operator.put(RESTART, &restart("restart")).await.unwrap();
        let act = world.operator.put(RESTART, &restart("reboot")).await.unwrap();
        let mut other = restart("stop");
        other["pattern"] = json!("stop (?<service>[a-z-]+) in (?<environment>[a-z]+)");
        other["example"] = json!("stop web in production");
        assert_eq!(world.operator.put("/v1/chat/commands/stop", &other).await.unwrap().status, 200);
        phone_refused(ada.phone.confirm_act(&act.body).await, "act_outdated");
        assert_eq!(asked(world, "restart web in production").await.as_deref(), Some("restart"));
    }
}
