//! Messages as mail.

use std::time::Duration;

use lettre::Transport as _;
use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message as Letter};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::{Error as SmtpError, SmtpTransport};

use super::Message;
use super::channel::{Mail, Refused, Security};

/// For each step of the conversation.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn send(mail: &Mail, message: &Message) -> Result<(), Refused> {
    let letter = letter(mail, message)?;
    match transport(mail)?.send(&letter) {
        Ok(_) => Ok(()),
        Err(error) if is_final(&error) => Err(Refused::never(error.to_string())),
        Err(error) => Err(Refused::later(error.to_string())),
    }
}

/// A server that says 5xx, or that speaks no TLS where it should, will not change its mind.
fn is_final(error: &SmtpError) -> bool {
    error.is_permanent()
}

fn letter(mail: &Mail, message: &Message) -> Result<Letter, Refused> {
    let mut builder = Letter::builder()
        .from(mailbox(&mail.from)?)
        .subject(format!("[nodekeep] {}", message.title))
        .header(ContentType::TEXT_PLAIN);
    for recipient in &mail.recipients {
        builder = builder.to(mailbox(recipient)?);
    }
    let node = message.node.as_ref().map_or_else(String::new, |node| format!("Node: {node}\n"));
    let text = format!(
        "{}\n\n{}\n\n{node}Machine: {}\nSince: {}\n",
        message.title, message.text, message.host, message.at
    );
    builder.body(text).map_err(|error| Refused::never(error.to_string()))
}

fn mailbox(text: &str) -> Result<Mailbox, Refused> {
    text.parse().map_err(|error| Refused::never(format!("`{text}` is no address: {error}")))
}

fn transport(mail: &Mail) -> Result<SmtpTransport, Refused> {
    let server = mail.server.as_str();
    let wrong = |error: SmtpError| Refused::never(error.to_string());
    let builder = match mail.security {
        Security::Starttls => SmtpTransport::starttls_relay(server).map_err(wrong)?,
        Security::Tls => SmtpTransport::relay(server).map_err(wrong)?,
        Security::None => SmtpTransport::builder_dangerous(server),
    };
    let builder = builder.port(mail.port).timeout(Some(PATIENCE));
    let Some((user, password)) = &mail.login else {
        return Ok(builder.build());
    };
    let password = password.read().map_err(Refused::later)?;
    Ok(builder.credentials(Credentials::new(user.clone(), password.to_string())).build())
}
