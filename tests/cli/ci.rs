//! The gate of deployments (`api-spec/gate.md`): each example of `clients/ci` is run, with a real server and a simulated phone, as whoever reads
//! it would: a shell for the steps of Jenkins, GitHub and GitLab, and what Argo Rollouts documents of its web metric.

mod argo;

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use phoneops::sim::phone::Phone;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::house::{House, Ran, Running, eventually, waiting};

/// An example.
fn example(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/ci").join(path)).unwrap()
}

/// A house with somebody who approves, a bot, and a folder with what is built: `deploy`, which says that it ran, and `gate.sh`.
struct Shop {
    house: House,
    yannick: Phone,
    token: String,
}

impl Shop {
    async fn open() -> Self {
        let house = House::open().await;
        let (yannick, token) = (house.yannick().await, house.heimdall().await);
        let program = |name: &str, text: &str| {
            let path = house.dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        };
        program(
            "deploy",
            "#!/bin/sh\necho \"deployed $1 ${PHONEOPS_TOKEN:-without a token}\" | tee -a deployed\nexit \"${DEPLOY_ENDS:-0}\"\n",
        );
        program("gate.sh", &example("gate.sh"));
        std::fs::write(house.dir.path().join("token"), &token).unwrap();
        Self { house, yannick, token }
    }

    /// Starts a step of a pipeline, as the tool's runner does.
    fn step(&self, script: &str, variables: &[(String, String)]) -> Running {
        let mut command = Command::new("bash");
        command.args(["-e", "-o", "pipefail", "-c", script]).current_dir(self.house.dir.path()).env_clear();
        let programs = Path::new(env!("CARGO_BIN_EXE_phoneops")).parent().unwrap().display();
        command.env("PATH", format!("{programs}:{}", std::env::var("PATH").unwrap()));
        command.envs(variables.iter().map(|(name, value)| (name, value.replace("https://phoneops.example", &self.house.issuer))));
        Running::start(command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))
    }

    fn deployed(&self) -> usize {
        std::fs::read_to_string(self.house.dir.path().join("deployed")).map_or(0, |text| text.lines().count())
    }

    /// A step is run three times: it is approved, what it runs fails, and it is denied. What was asked of the phone.
    async fn holds(&self, script: &str, variables: &[(String, String)]) -> Value {
        let before = self.deployed();
        let running = self.step(script, variables);
        let asked = waiting(&self.yannick).await;
        assert_eq!(self.deployed(), before, "it runs before it is approved");
        self.yannick.approve(asked["id"].as_str().unwrap()).await.unwrap();
        let ran = running.ended().await;
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "deployed api without a token\n"), "{ran:?}");
        assert_eq!(self.outcome(&asked).await, "succeeded");

        let fails = [variables, &[("DEPLOY_ENDS".to_owned(), "3".to_owned())]].concat();
        let running = self.step(script, &fails);
        let second = waiting(&self.yannick).await;
        self.yannick.approve(second["id"].as_str().unwrap()).await.unwrap();
        assert_eq!(running.ended().await.code, Some(3));
        assert_eq!((self.outcome(&second).await.as_str(), self.deployed()), ("failed", before + 2));

        let denied = self.denied(script, variables).await;
        assert_eq!((denied.code, self.deployed()), (Some(120), before + 2), "{denied:?}");
        assert!(denied.stderr.contains("not on a Friday"), "{denied:?}");
        asked["action"].clone()
    }

    async fn denied(&self, script: &str, variables: &[(String, String)]) -> Ran {
        let running = self.step(script, variables);
        let asked = waiting(&self.yannick).await["id"].as_str().unwrap().to_owned();
        self.yannick.deny(&asked, Some("not on a Friday")).await.unwrap();
        running.ended().await
    }

    /// What was told of it.
    async fn outcome(&self, asked: &Value) -> String {
        let id = asked["id"].as_str().unwrap();
        eventually("the outcome is told", || async {
            self.yannick.approval(id).await.unwrap()["outcome"]["outcome"].as_str().map(str::to_owned)
        })
        .await
    }
}

/// Variables as a runner has them.
fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Strings of a mapping.
fn texts(mapping: &Value) -> Vec<(String, String)> {
    let mapping = mapping.as_object().expect("a mapping");
    mapping.iter().map(|(name, value)| (name.clone(), value.as_str().expect("a text").to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_of_github_waits_for_the_phone() {
    let shop = Shop::open().await;
    let workflow: Value = serde_yaml_ng::from_str(&example("github/deploy.yml")).unwrap();
    let step = &workflow["jobs"]["deploy"]["steps"][1];
    let mut environment = texts(&step["env"]);
    for (_, value) in &mut environment {
        *value = value.replace("${{ secrets.PHONEOPS_TOKEN }}", &shop.token).replace("${{ github.actor }}", "yannick");
        assert!(!value.contains("${{"), "{value}");
    }
    environment.extend(variables(&[
        ("GITHUB_REF_NAME", "new_auth"),
        ("GITHUB_SHA", "5f32dd7"),
        ("GITHUB_SERVER_URL", "https://github.example"),
        ("GITHUB_REPOSITORY", "example/api"),
        ("GITHUB_RUN_ID", "7"),
    ]));
    let action = shop.holds(step["run"].as_str().unwrap(), &environment).await;
    let params = json!({"app": "api", "ref": "new_auth", "sha": "5f32dd7"});
    assert_eq!(action, json!({"type": "deploy", "target": "production", "params": params}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_of_gitlab_waits_for_the_phone_with_no_program_of_ours() {
    let shop = Shop::open().await;
    let pipeline: Value = serde_yaml_ng::from_str(&example("gitlab/gitlab-ci.yml")).unwrap();
    let lines: Vec<_> = pipeline["deploy"]["script"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    let mut environment = texts(&pipeline["deploy"]["variables"]);
    for (_, value) in &mut environment {
        *value = value.replace("$GITLAB_USER_LOGIN", "yannick");
    }
    environment.extend(variables(&[
        ("CI_COMMIT_REF_NAME", "new_auth"),
        ("CI_COMMIT_SHA", "5f32dd7"),
        ("PHONEOPS_TOKEN", &shop.token),
    ]));
    let script = lines.join("\n");
    let action = shop.holds(&script, &environment).await;
    let params = json!({"app": "api", "ref": "new_auth", "sha": "5f32dd7"});
    assert_eq!(action, json!({"type": "deploy", "target": "production", "params": params}));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_or_stopped_does_not_run() {
    let shop = Shop::open().await;
    let script = r#"exec ./gate.sh '{"type": "deploy", "target": "production"}' ./deploy api"#;
    let environment = |token: &str, requester: &str| {
        variables(&[("PHONEOPS_SERVER", &shop.house.issuer), ("PHONEOPS_TOKEN", token), ("PHONEOPS_REQUESTER", requester)])
    };
    for (token, requester, why) in
        [("pob_wrong", "@yannick", "the token is not known"), (shop.token.as_str(), "@nobody", "there is no @nobody")]
    {
        let ran = shop.step(script, &environment(token, requester)).ended().await;
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(124), ""), "{ran:?}");
        assert!(ran.stderr.contains(why), "{ran:?}");
    }
    // A runner that ends a job ends all of its processes, and the request is taken back.
    let running = shop.step(script, &environment(&shop.token, "@yannick"));
    let asked = waiting(&shop.yannick).await["id"].as_str().unwrap().to_owned();
    running.signal_group(Signal::TERM);
    let ran = running.ended().await;
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(130), ""), "{ran:?}");
    assert_eq!(shop.yannick.approval(&asked).await.unwrap()["state"], "cancelled");
    assert_eq!(shop.deployed(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_of_jenkins_waits_for_the_phone() {
    let shop = Shop::open().await;
    let file = example("jenkins/Jenkinsfile");
    // A string of Groovy in three apostrophes: only backslashes mean something in it, and `\` before a line break joins the lines, as in a shell.
    let script = file.split("'''").nth(1).expect("a step `sh`");
    let setting = |name: &str| file.split_once(&format!("{name} = '")).unwrap().1.split('\'').next().unwrap().to_owned();
    let mut environment: Vec<_> = ["PHONEOPS_SERVER", "PHONEOPS_REQUESTER"].map(|name| (name.to_owned(), setting(name))).into();
    let token = shop.house.dir.path().join("token").display().to_string();
    environment.extend(variables(&[("PHONEOPS_TOKEN_FILE", &token), ("BUILD_NUMBER", "12"), ("GIT_COMMIT", "5f32dd7")]));
    let action = shop.holds(script, &environment).await;
    let params = json!({"app": "api", "build": "12", "sha": "5f32dd7"});
    assert_eq!(action, json!({"type": "deploy", "target": "production", "params": params}));
}
