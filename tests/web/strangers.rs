//! What strangers write, in every field that they may write: shown, not obeyed, and never in the way of what is asked.

use serde_json::json;

use crate::house::{Holder, House};

/// What the server lets through where nothing may deceive: markup, another script's letters, emoji, and a length that fills screens.
fn plain(length: usize) -> String {
    let text = "<img src=x onerror=alert(1)> ргоduсtiоn 👩\u{1f4bb} ﷽ &lt;b&gt; {{7*7}} ";
    text.chars().chain("W".repeat(length).chars()).take(length).collect()
}

/// And where it writes out what deceives.
fn hostile(length: usize) -> String {
    let text = "\u{202e}evil\u{2066} z\u{200b}ero\u{200d}width \u{feff}<script>alert(1)</script> a\u{301}\u{302}\u{303}\u{304} \u{7}bell ";
    text.chars().chain(plain(length).chars()).take(length).collect()
}

/// Nothing that was written became an element, and what turns text around is nowhere.
async fn nothing_was_obeyed(holder: &Holder) {
    let made = "document.querySelectorAll('main img, main script, main b').length";
    assert_eq!(holder.page.eval(made).await, 0);
    let text = holder.page.text().await;
    let deceives = |c: &char| phoneops::text::is_deceptive(*c) && !matches!(c, '\n' | '\t' | '\u{200d}' | '\u{fe0f}');
    assert_eq!(text.chars().find(deceives), None, "{text:?}");
}

pub(crate) async fn what_strangers_ask_is_shown_and_not_obeyed(house: &House) -> Vec<Holder> {
    let yannick = house.person("yannick", &plain(80)).await;
    let heimdall = house.world.bot("heimdall").await;
    let (name, text) = (plain(200), plain(2000));
    let mut params = json!({"list": [text, {"deep": text}], "ref": "main"});
    params[&name] = text.into();
    let body =
        json!({"action": {"type": name, "target": name, "params": params}, "requester": yannick.handle, "reason": hostile(1000)});
    let asked =
        heimdall.client.post("/v1/approvals", &body).await.expect("it is asked").body["id"].as_str().expect("an id").to_owned();
    let notification = yannick.delivered(house).await;
    yannick.follow(&notification).await;
    yannick.page.sees("<img src=x onerror=alert(1)>").await;
    yannick.page.sees("\\u{202e}").await;
    nothing_was_obeyed(&yannick).await;
    yannick.look("hostile-approval").await;
    // Verb, target and the answer are on the screen, whatever else is.
    yannick.page.keeps_on_screen(&[".verb", ".target", "button.main"]).await;
    yannick.page.tap("What is signed, exactly").await;
    nothing_was_obeyed(&yannick).await;
    yannick.page.open(&house.address("/")).await;
    yannick.page.sees("<img src=x onerror=alert(1)>").await;
    nothing_was_obeyed(&yannick).await;
    yannick.look("hostile-inbox").await;
    yannick.page.open(&house.address(&format!("/a/{asked}"))).await;
    // What was shown is what is signed, also of this.
    yannick.page.tap("Approve").await;
    yannick.page.sees("Approved by").await;
    vec![yannick]
}

pub(crate) async fn what_strangers_report_is_shown_and_not_obeyed(house: &House) -> Vec<Holder> {
    let yannick = house.person("yannick", "Yannick Schutz").await;
    let heimdall = house.world.bot("heimdall").await;
    let link = format!("https://grafana.example/{}?<script>&javascript:alert(1)", "x".repeat(1900));
    let body = json!({"title": hostile(500), "to": [yannick.handle], "details": hostile(10_000), "links": [link, "https://example.org/#'\"<b>"]});
    let paged = heimdall.client.post("/v1/incidents", &body).await.expect("the page is taken").body;
    let reference = paged["ref"].as_str().expect("a reference");
    let note = json!({"text": hostile(10_000), "actor": yannick.handle});
    heimdall.client.post(&format!("/v1/incidents/{reference}/notes"), &note).await.expect("it is noted");
    let notification = yannick.delivered(house).await;
    assert!(!notification.to_string().contains('\u{202e}'), "{notification}");
    yannick.follow(&notification).await;
    yannick.page.sees("<script>alert(1)</script>").await;
    yannick.page.sees("\\u{202e}").await;
    nothing_was_obeyed(&yannick).await;
    yannick.look("hostile-page").await;
    yannick.page.keeps_on_screen(&["main .title", "button.take"]).await;
    yannick.page.open(&house.address("/")).await;
    yannick.page.sees("<script>alert(1)</script>").await;
    nothing_was_obeyed(&yannick).await;
    vec![yannick]
}
