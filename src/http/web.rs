//! The phone web app, which ships inside the binary: its page at every address that it opens itself, its service worker, and its files
//! under an address that names their digest.
//!
//! **Invariants**
//! - A file's address changes with any file's content, so a browser may keep each for ever, and never mixes two versions.
//! - No inline script or style, nothing from elsewhere, and no text ever becomes a script (CSP, Trusted Types).
//! - Nothing here asks who calls: the page holds no secret, and no cookie is set.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::LazyLock;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::State;
use super::problem::Problem;
use crate::secret::{b64u, sha256};

/// What the app may do in a browser.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; manifest-src 'self'; \
                      worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types phoneops";

/// The addresses that the app opens itself.
const PAGES: [&str; 13] = [
    "/",
    "/enroll",
    "/on-duty",
    "/me",
    "/me/rules",
    "/devices",
    "/on-call",
    "/incidents",
    "/a/{id}",
    "/i/{ref}",
    "/acts/{id}",
    "/admin",
    "/admin/{*path}",
];

pub(super) fn router() -> Router<State> {
    let pages = PAGES.into_iter().fold(Router::new(), |routes, path| routes.route(path, get(page)));
    pages.route("/sw.js", get(worker)).route("/app.webmanifest", get(manifest)).route("/web/{version}/{*path}", get(file))
}

struct Source {
    path: &'static str,
    bytes: &'static [u8],
}

macro_rules! sources {
    ($($path:literal)*) => {
        &[$(Source { path: $path, bytes: include_bytes!(concat!("../../web/", $path)) }),*]
    };
}

/// Everything below `web/` that a browser is given.
const SOURCES: &[Source] = sources![
    "app.js" "app.webmanifest" "index.html" "style.css" "sw.js"
    "icons/badge.png" "icons/icon-180.png" "icons/icon-192.png" "icons/icon-512.png" "icons/icon.svg" "icons/maskable-512.png"
    "lib/api.js" "lib/bytes.js" "lib/clock.js" "lib/db.js" "lib/deed.js" "lib/dom.js" "lib/incidents.js" "lib/jcs.js" "lib/keys.js"
    "lib/live.js" "lib/passkey.js" "lib/push.js" "lib/rules.js" "lib/seen.js" "lib/session.js" "lib/statement.js" "lib/stream.js"
    "lib/turns.js" "lib/visible.js" "lib/waiting.js" "lib/words.js" "lib/words/admin.js" "lib/words/approvals.js" "lib/words/enrol.js"
    "lib/words/me.js" "lib/words/paging.js"
    "parts/bits.js" "parts/pictures.js" "parts/qr.js" "parts/ring.js" "parts/storm.js" "parts/time.js"
    "screens/act.js" "screens/approval.js" "screens/chat.js" "screens/devices.js" "screens/enrol.js" "screens/inbox.js"
    "screens/incident.js" "screens/incident_acts.js" "screens/incidents.js" "screens/me.js" "screens/oncall.js" "screens/rules.js"
    "screens/admin/admin.css" "screens/admin/bots.js" "screens/admin/carriers.js" "screens/admin/escalation.js" "screens/admin/forms.js"
    "screens/admin/house.js" "screens/admin/index.js" "screens/admin/journal.js" "screens/admin/maintenance.js"
    "screens/admin/parts.js" "screens/admin/people.js" "screens/admin/policies.js" "screens/admin/schedules.js"
    "screens/admin/services.js" "screens/admin/stopped.js" "screens/admin/teams.js" "screens/admin/tester.js"
    "screens/admin/webhooks.js" "screens/admin/week.js"
];

/// Whether a file is fetched only when somebody opens what it is for: an ordinary phone neither loads nor keeps it.
fn is_for_later(path: &str) -> bool {
    path.starts_with("screens/admin/") || path == "lib/words/admin.js"
}

/// What is served by names of its own, with the version written into it.
const ROOT: [&str; 3] = ["index.html", "sw.js", "app.webmanifest"];

/// One file, plain and compressed.
struct Served {
    kind: &'static str,
    plain: Bytes,
    /// None where compressing saves nothing.
    gzip: Option<Bytes>,
}

struct Site {
    version: String,
    files: BTreeMap<&'static str, Served>,
}

static SITE: LazyLock<Site> = LazyLock::new(|| {
    let digest = sha256(&SOURCES.iter().flat_map(|source| [source.path.as_bytes(), source.bytes].concat()).collect::<Vec<_>>());
    let version = b64u(&digest[..9]);
    let files = SOURCES.iter().map(|source| (source.path, served(source, &version))).collect();
    Site { version, files }
});

fn served(source: &Source, version: &str) -> Served {
    let plain = match std::str::from_utf8(source.bytes) {
        Ok(text) if ROOT.contains(&source.path) => Bytes::from(filled(text, version)),
        _ => Bytes::from_static(source.bytes),
    };
    let gzip = compressed(&plain).filter(|gzip| gzip.len() < plain.len());
    Served { kind: kind(source.path), plain, gzip }
}

/// The text with the addresses of this version.
fn filled(text: &str, version: &str) -> String {
    let base = format!("/web/{version}");
    let kept = SOURCES.iter().filter(|source| !ROOT.contains(&source.path) && !is_for_later(source.path));
    let kept = kept.map(|source| format!("\"{base}/{}\"", source.path));
    let files = format!("[{}]", kept.collect::<Vec<_>>().join(","));
    text.replace("{files}", &files).replace("{base}", &base).replace("{version}", version)
}

fn compressed(plain: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).ok()?;
    encoder.finish().ok().map(Bytes::from)
}

fn kind(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("webmanifest") => "application/manifest+json",
        _ => "application/octet-stream",
    }
}

async fn page(headers: HeaderMap) -> Response {
    answer("index.html", &headers, "no-cache")
}

async fn worker(headers: HeaderMap) -> Response {
    answer("sw.js", &headers, "no-cache")
}

async fn manifest(headers: HeaderMap) -> Response {
    answer("app.webmanifest", &headers, "no-cache")
}

async fn file(Path((version, path)): Path<(String, String)>, headers: HeaderMap) -> Response {
    if version == SITE.version && !ROOT.contains(&path.as_str()) {
        return answer(&path, &headers, "public, max-age=31536000, immutable");
    }
    Problem::not_found("another version of the app is served here: load the page again").into_response()
}

fn answer(path: &str, asked: &HeaderMap, caching: &'static str) -> Response {
    let Some(served) = SITE.files.get(path) else { return Problem::not_found("the app has no such file").into_response() };
    let gzip = served.gzip.as_ref().filter(|_| takes_gzip(asked));
    let mut response = gzip.unwrap_or(&served.plain).clone().into_response();
    let headers = response.headers_mut();
    let fixed = [
        (header::CONTENT_TYPE, served.kind),
        (header::CACHE_CONTROL, caching),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::VARY, "accept-encoding"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if gzip.is_some() {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// Whether `Accept-Encoding` names gzip and does not refuse it (RFC 9110 section 12.5.3).
fn takes_gzip(asked: &HeaderMap) -> bool {
    let all = asked.get_all(header::ACCEPT_ENCODING);
    let mut codings = all.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    codings.any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip"));
        named && !parts.any(|part| matches!(part.replace(' ', "").as_str(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    fn below(folder: &Path, found: &mut BTreeSet<String>, root: &Path) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                below(&path, found, root);
            } else {
                found.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }

    #[test]
    fn every_file_of_the_app_is_served() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("web");
        let mut found = BTreeSet::new();
        below(&root, &mut found, &root);
        let about =
            |path: &String| path.starts_with("test/") || matches!(path.as_str(), "README.md" | "package.json" | "tsconfig.json");
        found.retain(|path| !about(path));
        assert_eq!(found, SOURCES.iter().map(|source| source.path.to_owned()).collect());
    }

    /// What is sent of these files, bytes.
    fn sent(wanted: impl Fn(&str) -> bool) -> usize {
        let wanted = SITE.files.iter().filter(|(path, served)| wanted(path) && !served.kind.starts_with("image/png"));
        wanted.map(|(_, served)| served.gzip.as_ref().map_or(served.plain.len(), Bytes::len)).sum()
    }

    #[test]
    fn the_first_load_is_small() {
        let size = sent(|path| !is_for_later(path));
        assert!(size <= 100 * 1024, "{size} bytes");
        let later = sent(is_for_later);
        assert!(0 < later && later <= 60 * 1024, "{later} bytes for administrators");
    }

    #[test]
    fn what_is_for_administrators_is_served_and_kept_by_no_phone() {
        assert!(SITE.files.contains_key("screens/admin/index.js"));
        let worker = String::from_utf8(SITE.files["sw.js"].plain.to_vec()).unwrap();
        assert!(
            worker.contains("screens/inbox.js") && !SITE.files.keys().any(|path| is_for_later(path) && worker.contains(path)),
            "{worker}"
        );
    }

    #[test]
    fn nothing_is_left_to_fill_in() {
        for path in ROOT {
            let text = String::from_utf8(SITE.files[path].plain.to_vec()).unwrap();
            for hole in ["{base}", "{version}", "{files}"] {
                assert!(!text.contains(hole), "{path} has {hole}");
            }
        }
    }

    #[test]
    fn gzip_is_sent_to_whoever_takes_it() {
        let asks = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(value));
            takes_gzip(&headers)
        };
        assert!(asks("br, gzip") && asks("gzip;q=0.5") && asks("GZIP"));
        assert!(!asks("br") && !asks("gzip;q=0") && !asks("gzip; q=0.0") && !takes_gzip(&HeaderMap::new()));
    }
}
