use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::push::names::Lookup;

fn check(url: &str, allow_private: bool) -> Result<(), Forbidden> {
    check_url(&url.parse().unwrap(), allow_private)
}

/// (address, open by default, open with private networks): the first, the last and the neighbours of every range.
const ADDRESSES: &[(&str, bool, bool)] = &[
    ("0.0.0.0", false, false),
    ("0.255.255.255", false, false),
    ("1.0.0.0", true, true),
    ("9.255.255.255", true, true),
    ("10.0.0.0", false, true),
    ("10.255.255.255", false, true),
    ("11.0.0.0", true, true),
    ("100.63.255.255", true, true),
    ("100.64.0.0", false, true),
    ("100.100.100.199", false, true),
    ("100.100.100.200", false, false),
    ("100.100.100.201", false, true),
    ("100.127.255.255", false, true),
    ("100.128.0.0", true, true),
    ("126.255.255.255", true, true),
    ("127.0.0.0", false, true),
    ("127.0.0.1", false, true),
    ("127.255.255.255", false, true),
    ("128.0.0.0", true, true),
    ("168.63.129.15", true, true),
    ("168.63.129.16", false, false),
    ("168.63.129.17", true, true),
    ("169.253.255.255", true, true),
    ("169.254.0.0", false, false),
    ("169.254.169.254", false, false),
    ("169.254.255.255", false, false),
    ("169.255.0.0", true, true),
    ("172.15.255.255", true, true),
    ("172.16.0.0", false, true),
    ("172.31.255.255", false, true),
    ("172.32.0.0", true, true),
    ("191.255.255.255", true, true),
    ("192.0.0.0", false, false),
    ("192.0.0.255", false, false),
    ("192.0.1.0", true, true),
    ("192.0.2.0", false, false),
    ("192.0.2.255", false, false),
    ("192.0.3.0", true, true),
    ("192.88.98.255", true, true),
    ("192.88.99.0", false, false),
    ("192.88.99.255", false, false),
    ("192.88.100.0", true, true),
    ("192.167.255.255", true, true),
    ("192.168.0.0", false, true),
    ("192.168.255.255", false, true),
    ("192.169.0.0", true, true),
    ("198.17.255.255", true, true),
    ("198.18.0.0", false, false),
    ("198.19.255.255", false, false),
    ("198.20.0.0", true, true),
    ("198.51.99.255", true, true),
    ("198.51.100.0", false, false),
    ("198.51.100.255", false, false),
    ("198.51.101.0", true, true),
    ("203.0.112.255", true, true),
    ("203.0.113.0", false, false),
    ("203.0.113.255", false, false),
    ("203.0.114.0", true, true),
    ("223.255.255.255", true, true),
    ("224.0.0.0", false, false),
    ("239.255.255.255", false, false),
    ("240.0.0.0", false, false),
    ("255.255.255.255", false, false),
    ("::", false, false),
    ("::1", false, true),
    ("::2", false, false),
    ("::127.0.0.1", false, true),
    ("::8.8.8.8", false, true),
    ("::169.254.169.254", false, false),
    ("::ffff:127.0.0.1", false, true),
    ("::ffff:8.8.8.8", false, true),
    ("::ffff:0.0.0.0", false, false),
    ("::ffff:0:127.0.0.1", false, false),
    ("64:ff9b::127.0.0.1", false, true),
    ("64:ff9b::8.8.8.8", false, true),
    ("64:ff9b::169.254.169.254", false, false),
    ("64:ff9b:1::10.0.0.1", false, false),
    ("64:ff9b:2::10.0.0.1", false, false),
    ("100::1", false, false),
    ("1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false, false),
    ("2000::", true, true),
    ("2001::1", false, false),
    ("2001:0:ffff:ffff:ffff:ffff:ffff:ffff", false, false),
    ("2001:2::1", false, false),
    ("2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", false, false),
    ("2001:200::", true, true),
    ("2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", true, true),
    ("2001:db8::", false, false),
    ("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", false, false),
    ("2001:db9::", true, true),
    ("2001:4860:4860::8888", true, true),
    ("2002:7f00:1::", false, true),
    ("2002:808:808::1", false, true),
    ("2002:a9fe:a9fe::", false, false),
    ("2003::", true, true),
    ("3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true, true),
    ("3fff::", false, false),
    ("3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", false, false),
    ("3fff:1000::", true, true),
    ("4000::", false, false),
    ("5f00::1", false, false),
    ("fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false, false),
    ("fc00::", false, true),
    ("fd00:ec2::253", false, true),
    ("fd00:ec2::254", false, false),
    ("fd00:ec2::255", false, true),
    ("fd20:ce::253", false, true),
    ("fd20:ce::254", false, false),
    ("fd20:ce::255", false, true),
    ("::ffff:100.100.100.200", false, false),
    ("fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false, true),
    ("fe00::", false, false),
    ("fe80::1", false, false),
    ("febf::1", false, false),
    ("fec0::1", false, false),
    ("ff02::1", false, false),
    ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false, false),
];

#[test]
fn every_range_is_judged_to_its_edges() {
    for (text, public, private) in ADDRESSES {
        let address: IpAddr = text.parse().unwrap();
        assert_eq!(open(address, false), *public, "{text}");
        assert_eq!(open(address, true), *private, "{text} with private networks");
        let url = match address {
            IpAddr::V4(address) => format!("https://{address}/"),
            IpAddr::V6(address) => format!("https://[{address}]/"),
        };
        assert_eq!(check(&url, false).is_ok(), *public, "{url}");
        assert_eq!(check(&url, true).is_ok(), *private, "{url} with private networks");
    }
}

#[test]
fn an_address_is_seen_in_every_spelling() {
    for host in [
        "127.1",
        "127.0.1",
        "0177.0.0.1",
        "0x7f.1",
        "0x7f000001",
        "0x7F.0x0.0x0.0x1",
        "2130706433",
        "017700000001",
        "127.0.0.1.",
        "%31%32%37.0.0.1",
        "１２７.０.０.１",
        "127。0。0。1",
        "①②⑦.0.0.1",
        "0",
        "0x0",
        "0xa9fea9fe",
        "2852039166",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:ffff:127.0.0.1]",
        "[::7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[0000:0000:0000:0000:0000:0000:0000:0001]",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "push.localhost",
        "ⓛocalhost",
    ] {
        let url = format!("https://{host}/push");
        assert_eq!(check(&url, false), Err(Forbidden::Address), "{url}");
    }
    for unparsable in ["https://[fe80::1%25eth0]/", "https://[fe80::1%eth0]/", "https://256.1.1.1/"] {
        assert!(unparsable.parse::<Url>().is_err(), "{unparsable}");
    }
}

#[test]
fn scheme_credentials_and_port_are_judged() {
    let host = "push.example.com";
    for (url, public, private) in [
        (format!("https://{host}/x"), Ok(()), Ok(())),
        (format!("https://{host}:443/x"), Ok(()), Ok(())),
        (format!("https://{host}:1024/x"), Ok(()), Ok(())),
        (format!("https://{host}:8443/x"), Ok(()), Ok(())),
        (format!("https://{host}:65535/x"), Ok(()), Ok(())),
        (format!("http://{host}/x"), Err(Forbidden::Scheme), Ok(())),
        (format!("http://{host}:8080/x"), Err(Forbidden::Scheme), Ok(())),
        (format!("https://{host}:80/x"), Err(Forbidden::Port(80)), Ok(())),
    ] {
        assert_eq!(check(&url, false), public, "{url}");
        assert_eq!(check(&url, true), private, "{url} with private networks");
    }
    for allow_private in [false, true] {
        for port in [0, 1, 22, 25, 389, 444, 465, 587, 1023] {
            let url = format!("https://{host}:{port}/x");
            assert_eq!(check(&url, allow_private), Err(Forbidden::Port(port)), "{url}");
        }
        for url in ["ftp://push.example.com/", "file:///etc/passwd", "gopher://x/", "data:,x"] {
            assert_eq!(check(url, allow_private), Err(Forbidden::Scheme), "{url}");
        }
        for url in ["https://user@push.example.com/", "https://push.example.com:x@10.0.0.1/", "https://:p@x.example/"] {
            assert_eq!(check(url, allow_private), Err(Forbidden::Credentials), "{url}");
        }
    }
}

/// A resolver over a fixed answer, and how often it was asked.
fn resolver(allow_private: bool, answer: &[&str]) -> (GuardedResolver, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let addresses: Vec<IpAddr> = answer.iter().map(|text| text.parse().unwrap()).collect();
    let lookup: Lookup = Arc::new({
        let asked = asked.clone();
        move |_| {
            asked.fetch_add(1, Ordering::SeqCst);
            let addresses = addresses.clone();
            Box::pin(async move { Ok(addresses) })
        }
    });
    (GuardedResolver::with_lookup(allow_private, lookup), asked)
}

async fn resolve(resolver: &GuardedResolver) -> Result<Vec<String>, Option<Forbidden>> {
    match resolver.resolve("push.example.com".parse().unwrap()).await {
        Ok(addresses) => Ok(addresses.map(|address| address.to_string()).collect()),
        Err(error) => Err(error.downcast_ref().copied()),
    }
}

#[tokio::test]
async fn only_public_addresses_leave_the_resolver() {
    let mixed = ["10.0.0.1", "93.184.216.34", "::1", "2606:2800:220:1::1", "::ffff:127.0.0.1"];
    let (guarded, asked) = resolver(false, &mixed);
    let public = ["93.184.216.34:0", "[2606:2800:220:1::1]:0"];
    assert_eq!(resolve(&guarded).await.unwrap(), public);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_name_that_leads_only_inside_leads_nowhere() {
    for inside in [&["127.0.0.1", "fd00::1"][..], &["169.254.169.254"], &[]] {
        let (guarded, _) = resolver(false, inside);
        assert_eq!(resolve(&guarded).await, Err(Some(Forbidden::Address)), "{inside:?}");
    }
    let (guarded, _) = resolver(true, &["127.0.0.1", "169.254.169.254"]);
    assert_eq!(resolve(&guarded).await.unwrap(), ["127.0.0.1:0"]);
}

#[tokio::test]
async fn a_name_that_changes_its_meaning_is_judged_anew() {
    let answers = std::sync::Mutex::new(vec![[127, 0, 0, 1], [93, 184, 216, 34]]);
    let lookup: Lookup = Arc::new(move |_| {
        let next = answers.lock().unwrap().pop().unwrap();
        Box::pin(async move { Ok(vec![IpAddr::from(next)]) })
    });
    let guarded = GuardedResolver::with_lookup(false, lookup);
    assert_eq!(resolve(&guarded).await.unwrap(), ["93.184.216.34:0"]);
    assert_eq!(resolve(&guarded).await, Err(Some(Forbidden::Address)));
}

#[tokio::test]
async fn while_names_cannot_be_looked_up_the_last_answer_counts() {
    let answers = std::sync::Mutex::new(vec![Err(io::ErrorKind::Other), Ok([93, 184, 216, 34]), Err(io::ErrorKind::Other)]);
    let lookup: Lookup = Arc::new(move |_| {
        let next = answers.lock().unwrap().pop().unwrap();
        Box::pin(async move { next.map(|address| vec![IpAddr::from(address)]).map_err(io::Error::from) })
    });
    let guarded = GuardedResolver::with_lookup(false, lookup);
    assert_eq!(resolve(&guarded).await, Err(None), "there is no last answer");
    assert_eq!(resolve(&guarded).await.unwrap(), ["93.184.216.34:0"]);
    assert_eq!(resolve(&guarded).await.unwrap(), ["93.184.216.34:0"]);
}

#[tokio::test(start_paused = true)]
async fn a_look_up_that_hangs_gives_way_to_the_last_answer() {
    let asked = Arc::new(AtomicUsize::new(0));
    let lookup: Lookup = Arc::new(move |_| {
        let hangs = asked.fetch_add(1, Ordering::SeqCst) > 0;
        Box::pin(async move {
            if hangs {
                std::future::pending::<()>().await;
            }
            Ok(vec![IpAddr::from([93, 184, 216, 34])])
        })
    });
    let guarded = GuardedResolver::with_lookup(false, lookup);
    for _ in 0..2 {
        assert_eq!(resolve(&guarded).await.unwrap(), ["93.184.216.34:0"]);
    }
}

#[tokio::test]
async fn the_systems_own_resolver_is_guarded_too() {
    let name = || "localhost".parse().unwrap();
    assert!(GuardedResolver::new(false).resolve(name()).await.is_err());
    assert!(GuardedResolver::new(true).resolve(name()).await.is_ok());
}
