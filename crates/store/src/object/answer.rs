//! What an S3 store means by a status and a code.

use crate::StoreErrorKind;
use crate::net::{Failure, Reply, retry_after, shortened};

use super::xml::each_element;

/// The failure that an unsuccessful answer tells of.
pub(super) fn failure(reply: &Reply) -> Failure {
    let (code, message) = explanation(&reply.body);
    let kind = kind(reply.status, &code);
    let region = reply.headers.get("x-amz-bucket-region").and_then(|value| value.to_str().ok());
    let mut detail = format!("{} {code}", reply.status).trim_end().to_owned();
    if !message.is_empty() {
        detail = format!("{detail}: {message}");
    }
    if let Some(region) = region.filter(|_| kind == StoreErrorKind::WrongRegion) {
        detail = format!("{detail}; the bucket is in {region}");
    }
    Failure::new(kind, detail).retry_after(retry_after(reply))
}

/// Code and message of an error document; empty where there is none.
fn explanation(body: &[u8]) -> (String, String) {
    let (mut code, mut message) = (String::new(), String::new());
    let read = each_element(body, |path, text| match path {
        "Error/Code" => code = shortened(text),
        "Error/Message" => message = shortened(text),
        _ => {}
    });
    match read {
        Some(()) => (code, message),
        None => Default::default(),
    }
}

fn kind(status: u16, code: &str) -> StoreErrorKind {
    use StoreErrorKind as Kind;
    match code {
        "NoSuchBucket" => return Kind::NoSuchBucket,
        "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "ExpiredToken"
        | "InvalidToken"
        | "TokenRefreshRequired" => return Kind::BadCredentials,
        "RequestTimeTooSkewed" => return Kind::ClockSkew,
        "AuthorizationHeaderMalformed"
        | "PermanentRedirect"
        | "IncorrectEndpoint"
        | "IllegalLocationConstraintException" => return Kind::WrongRegion,
        "QuotaExceeded" | "InsufficientStorage" | "XMinioStorageFull" => return Kind::NoSpace,
        "SlowDown" | "TooManyRequests" | "RequestLimitExceeded" => return Kind::Throttled,
        "RequestTimeout" => return Kind::TimedOut,
        "BadDigest" | "XAmzContentSHA256Mismatch" | "IncompleteBody" => return Kind::Interrupted,
        "EntityTooLarge" => return Kind::TooLarge,
        "NotImplemented" => return Kind::Unsupported,
        _ => {}
    }
    match status {
        300..=399 => Kind::WrongRegion,
        401 => Kind::BadCredentials,
        403 => Kind::PermissionDenied,
        404 => Kind::NotFound,
        408 => Kind::TimedOut,
        409 => Kind::Conflict,
        413 => Kind::TooLarge,
        416 => Kind::Truncated,
        429 => Kind::Throttled,
        501 => Kind::Unsupported,
        507 => Kind::NoSpace,
        500..=599 => Kind::Unavailable,
        400..=499 => Kind::Refused,
        _ => Kind::UnexpectedAnswer("an unknown status"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Op, StoreError};

    fn told(status: u16, body: &str, header: Option<(&'static str, &str)>) -> StoreError {
        let mut headers = reqwest::header::HeaderMap::new();
        if let Some((name, value)) = header {
            headers.insert(name, value.parse().unwrap());
        }
        let reply = Reply { status, headers, body: body.into() };
        failure(&reply).at(Op::Get, "s3://bucket", "c/1")
    }

    #[test]
    fn codes_go_before_statuses() {
        let cases = [
            (404, "NoSuchKey", StoreErrorKind::NotFound),
            (404, "NoSuchBucket", StoreErrorKind::NoSuchBucket),
            (404, "", StoreErrorKind::NotFound),
            (403, "AccessDenied", StoreErrorKind::PermissionDenied),
            (403, "SignatureDoesNotMatch", StoreErrorKind::BadCredentials),
            (403, "RequestTimeTooSkewed", StoreErrorKind::ClockSkew),
            (403, "QuotaExceeded", StoreErrorKind::NoSpace),
            (400, "ExpiredToken", StoreErrorKind::BadCredentials),
            (400, "InvalidRequest", StoreErrorKind::Refused),
            (503, "SlowDown", StoreErrorKind::Throttled),
            (503, "", StoreErrorKind::Unavailable),
            (301, "", StoreErrorKind::WrongRegion),
            (416, "InvalidRange", StoreErrorKind::Truncated),
        ];
        for (status, code, expected) in cases {
            let body = format!("<Error><Code>{code}</Code><Message>Why</Message></Error>");
            assert_eq!(told(status, &body, None).kind, expected, "{status} {code}");
        }
    }

    #[test]
    fn the_words_of_the_store_are_passed_on_tamed() {
        let body = format!(
            "<Error><Code>X\u{1b}[2J</Code><Message>a\nb {}</Message></Error>",
            "c".repeat(5000)
        );
        let error = told(403, &body, None).to_string();
        assert!(
            error.starts_with(
                "cannot read c/1 in s3://bucket: permission denied (403 X[2J: a b ccc"
            ),
            "{error}"
        );
        assert!(error.len() < 500 && !error.contains('\u{1b}'), "{error}");
        let garbage = told(500, "<html>\u{0}", Some(("retry-after", "7")));
        assert_eq!(garbage.answer.as_ref().unwrap().retry_after.unwrap().as_secs(), 7);
        let elsewhere = told(301, "", Some(("x-amz-bucket-region", "eu-west-1"))).to_string();
        assert!(elsewhere.contains("the bucket is in eu-west-1"), "{elsewhere}");
    }
}
