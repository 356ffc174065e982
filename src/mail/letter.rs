//! What stands in a mail.
//!
//! **Invariants**
//! - A header holds one line: whatever would end it is a blank in it.
//! - A round's retries are one mail to whoever reads it: they have one `Message-ID`. All of a subject are one thread.
//! - No other program answers it (RFC 3834).

use std::time::{SystemTime, UNIX_EPOCH};

use lettre::Address;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message as Letter};

use crate::clock::Timestamp;
use crate::push::{Message, Urgency};

/// A message that makes no mail.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotALetter {
    /// There would be no subject.
    #[error("the message has no title")]
    NoTitle,
    /// Something in it has no form as mail.
    #[error("the message cannot be written as mail")]
    Form,
}

/// The mail, headers and text, as it goes over the wire before dots are doubled.
pub(super) fn write(message: &Message, from: &Mailbox, to: &Address, now: Timestamp) -> Result<Vec<u8>, NotALetter> {
    if message.title.trim().is_empty() {
        return Err(NotALetter::NoTitle);
    }
    let domain = from.email.domain();
    let root = id(&message.thread, domain);
    let mut builder = Letter::builder()
        .from(from.clone())
        .to(Mailbox::new(None, to.clone()))
        .date(instant(now))
        .subject(line(&message.title))
        // What replaces a message has its tag, and is another mail all the same.
        .message_id(Some(id(&format!("{}.{}", message.tag, message.category.as_str()), domain)))
        .in_reply_to(root.clone())
        .references(root)
        .raw_header(header("Auto-Submitted", "auto-generated"));
    if message.urgency == Urgency::High {
        builder = builder.raw_header(header("Importance", "high"));
    }
    let letter = builder.body(text(message)).map_err(|_| NotALetter::Form)?;
    Ok(letter.formatted())
}

fn header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

/// `<ntf_….page@example.com>` (RFC 5322 section 3.6.4). What is no atom there becomes a hyphen.
fn id(name: &str, domain: &str) -> String {
    let atom = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    format!("<{}@{domain}>", name.chars().map(atom).collect::<String>())
}

/// One line: whatever would end or hide it is a blank.
fn line(text: &str) -> String {
    let plain = |c: char| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c };
    text.chars().map(plain).collect::<String>().trim().to_owned()
}

fn text(message: &Message) -> String {
    let plain = |c: char| !c.is_control() || c == '\n' || c == '\t';
    let body: String = message.body.replace("\r\n", "\n").chars().filter(|c| plain(*c)).collect();
    let about = if body.is_empty() { String::new() } else { format!("{body}\n\n") };
    let origin = message.navigate.origin().ascii_serialization();
    format!(
        "{about}{navigate}\n\n-- \nPhoneOps at {origin} writes to you because this address was given there as yours. Mail is its last\n\
         resort, for when no phone of yours has answered. Nobody reads what is sent back.\n",
        navigate = message.navigate,
    )
}

/// For the `Date` header, which counts in seconds.
fn instant(now: Timestamp) -> SystemTime {
    UNIX_EPOCH + std::time::Duration::from_secs(u64::try_from(now.as_seconds()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mail::tests::{message, now};

    fn written(message: &Message) -> String {
        let from = "PhoneOps <phoneops@example.com>".parse().unwrap();
        String::from_utf8(write(message, &from, &"ys@example.com".parse().unwrap(), now()).unwrap()).unwrap()
    }

    #[test]
    fn a_mail_says_what_where_and_why() {
        assert_eq!(
            written(&message()),
            "From: PhoneOps <phoneops@example.com>\r\n\
             To: ys@example.com\r\n\
             Date: Fri, 15 Jan 2027 08:00:00 +0000\r\n\
             Subject: All your apps are down\r\n\
             Message-ID: <ntf_1.1.page@example.com>\r\n\
             In-Reply-To: <inc_1@example.com>\r\n\
             References: <inc_1@example.com>\r\n\
             Auto-Submitted: auto-generated\r\n\
             Importance: high\r\n\
             Content-Transfer-Encoding: 7bit\r\n\
             \r\n\
             Page PIHXOC6 from heimdall\r\n\
             \r\n\
             https://phoneops.example/i/PIHXOC6\r\n\
             \r\n\
             -- \r\n\
             PhoneOps at https://phoneops.example writes to you because this address was given there as yours. Mail is its last\r\n\
             resort, for when no phone of yours has answered. Nobody reads what is sent back.\r\n"
        );
    }

    #[test]
    fn what_replaces_a_mail_is_another_in_the_same_thread() {
        let mut answered = message();
        answered.category = crate::push::Category::Answered;
        let ids = |letter: &str| {
            let line = |name: &str| letter.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
            (line("Message-ID"), line("References"))
        };
        let (first, replacement) = (ids(&written(&message())), ids(&written(&answered)));
        assert_ne!(first.0, replacement.0);
        assert_eq!(first.1, replacement.1);
    }

    proptest! {
        /// Headers are what was meant, whatever a message says: nothing in it makes one more, and none is lost.
        #[test]
        fn no_text_makes_a_header(
            title in "[\\x00-\\x7fäß日🔥\u{85}\u{2028}\r\n:]{0,80}", body in "[\\x00-\\x7fäß日\r\n.]{0,80}",
            tag in "[\\x00-\\x7fä@<>]{0,20}", thread in "[\\x00-\\x7fä@<>]{0,20}",
        ) {
            let mut message = message();
            message.title = format!("{title}\r\nBcc: mallory@example.com\r\n\r\nx");
            (message.body, message.tag, message.thread) = (body, tag, thread);
            let letter = written(&message);
            prop_assert!(letter.is_ascii());
            let (headers, _) = letter.split_once("\r\n\r\n").unwrap();
            let names: Vec<_> = headers.split("\r\n").filter(|line| !line.starts_with([' ', '\t'])).map(|line| line.split(':').next().unwrap()).collect();
            prop_assert_eq!(names, [
                "From", "To", "Date", "Subject", "Message-ID", "In-Reply-To", "References", "Auto-Submitted", "Importance",
                "Content-Transfer-Encoding",
            ]);
            // No bare CR or LF anywhere, which servers read differently.
            let bare = letter.replace("\r\n", "");
            prop_assert!(!bare.contains(['\r', '\n', '\0']));
            prop_assert!(letter.split("\r\n").all(|line| line.len() <= 998), "RFC 5322 section 2.1.1");
        }
    }
}
