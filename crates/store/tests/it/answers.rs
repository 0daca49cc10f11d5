//! What becomes of every answer that a server behind a network can give.

use std::num::NonZeroUsize;
use std::time::Duration;

use nodekeep_store::{
    Address, Created, Durability, OpenOptions, Place, RetryPolicy, S3Credentials, S3Options, Store,
    StoreErrorKind, Timeouts,
};

use crate::wire::{Reply, Server, raw, reply};

/// No waiting between attempts, and little for answers.
fn options() -> OpenOptions {
    let retry = RetryPolicy { attempts: 3, first_pause: Duration::ZERO, ..RetryPolicy::default() };
    let idle = Duration::from_secs(30);
    let timeouts = Timeouts { idle, ..Timeouts::default() };
    OpenOptions { retry, timeouts, ..OpenOptions::default() }
}

/// Gives up on silence at once.
fn impatient() -> OpenOptions {
    let idle = Duration::from_millis(200);
    let slowest_bytes_per_sec = NonZeroUsize::MAX;
    let timeouts = Timeouts { idle, slowest_bytes_per_sec, ..Timeouts::default() };
    OpenOptions { timeouts, ..options() }
}

fn bucket_with(server: &Server, options: OpenOptions) -> Store {
    let credentials = S3Credentials {
        access_key_id: "KEY".into(),
        secret_access_key: "hush-hush".into(),
        session_token: Some("token".into()),
    };
    let s3 = S3Options {
        endpoint: Some(server.url()),
        credentials: Some(credentials),
        ..S3Options::default()
    };
    let address = Address::parse("s3://bucket/My Node").unwrap();
    Store::open(&address, &OpenOptions { s3, ..options }).unwrap()
}

fn bucket(server: &Server) -> Store {
    bucket_with(server, options())
}

fn mirror(server: &Server) -> Store {
    let address = Address::parse(&format!("{}/repo/", server.url())).unwrap();
    Store::open(&address, &options()).unwrap()
}

fn put(store: &Store, bytes: &[u8]) -> Result<Created, StoreErrorKind> {
    store.create("c/1", bytes, Durability::Durable).map_err(|error| error.kind)
}

fn error_document(code: &str) -> String {
    format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>So</Message></Error>")
}

#[test]
fn a_create_is_one_conditional_put_that_is_signed() {
    let server = Server::start([reply("200 OK", "", "")]);
    let store = bucket(&server);
    assert_eq!(put(&store, b"bytes"), Ok(Created::New));
    let [asked] = &server.asked()[..] else { panic!("{:?}", server.lines()) };
    assert_eq!(asked.line, "PUT /bucket/My%20Node/c/1");
    assert_eq!(asked.body, b"bytes");
    for header in [
        "if-none-match: *\r\n",
        "content-length: 5\r\n",
        "x-amz-security-token: token\r\n",
        "signedheaders=host;if-none-match;x-amz-content-sha256;x-amz-date;x-amz-security-token",
    ] {
        assert!(asked.headers.contains(header), "{header} in {}", asked.headers);
    }
    assert!(!asked.headers.contains("hush"));
    let server = Server::start([reply("200 OK", "", "")]);
    put(&bucket(&server), b"").unwrap();
    assert!(server.asked()[0].headers.contains("content-length: 0\r\n"), "S3 insists on it");
}

#[test]
fn what_passes_is_tried_again() {
    let passing = [
        reply("503 Slow", "Retry-After: 0\r\n", error_document("SlowDown")),
        reply("500 Oh", "", "<html>"),
        reply("429 Too Many", "", ""),
        reply("409 Conflict", "", error_document("ConditionalRequestConflict")),
        reply("400 Bad", "", error_document("RequestTimeout")),
        Reply::HangUp,
        Reply::Bytes(b"HTTP/1.1 200".to_vec()),
    ];
    for first in passing {
        let server = Server::start([first, reply("200 OK", "", "")]);
        assert_eq!(put(&bucket(&server), b"x"), Ok(Created::New));
        assert_eq!(server.lines().len(), 2);
    }
}

#[test]
fn errors_name_the_object_and_the_attempts() {
    let server = Server::start(vec![reply("503 No", "", error_document("SlowDown")); 9]);
    let error = bucket(&server).get("c/1").unwrap_err();
    assert_eq!(server.lines().len(), 3);
    let text = error.to_string();
    let start = "cannot read c/1 in s3://bucket/My Node: the store asks to slow down: try later, \
                 or with fewer requests at once (503 SlowDown: So); tried 3 times over ";
    assert!(text.starts_with(start), "{text}");
}

#[test]
fn refusals_are_told_and_not_repeated() {
    let cases = [
        ("403 No", "AccessDenied", StoreErrorKind::PermissionDenied),
        ("403 No", "SignatureDoesNotMatch", StoreErrorKind::BadCredentials),
        ("403 No", "RequestTimeTooSkewed", StoreErrorKind::ClockSkew),
        ("404 No", "NoSuchBucket", StoreErrorKind::NoSuchBucket),
        ("301 Elsewhere", "PermanentRedirect", StoreErrorKind::WrongRegion),
        ("400 No", "AuthorizationHeaderMalformed", StoreErrorKind::WrongRegion),
        ("501 No", "NotImplemented", StoreErrorKind::Unsupported),
        ("400 No", "InvalidRequest", StoreErrorKind::Refused),
    ];
    for (status, code, expected) in cases {
        let server = Server::start(vec![reply(status, "", error_document(code)); 3]);
        assert_eq!(put(&bucket(&server), b"x"), Err(expected), "{code}");
        assert_eq!(server.lines().len(), 1, "{code}");
    }
}

#[test]
fn redirections_of_a_bucket_are_not_followed() {
    let other = Server::start([reply("200 OK", "", "")]);
    let location = format!("Location: {}/bucket/x\r\n", other.url());
    let server = Server::start([reply("307 There", &location, "")]);
    assert_eq!(put(&bucket(&server), b"x"), Err(StoreErrorKind::WrongRegion));
    assert!(other.asked().is_empty(), "a signature went to another server");
}

#[test]
fn an_own_object_is_told_from_that_of_others() {
    for (there, expected) in
        [("mine", Created::New), ("ours", Created::Exists), ("another", Created::Exists)]
    {
        let server = Server::start([
            Reply::HangUp,
            reply("412 There", "", error_document("PreconditionFailed")),
            raw(&format!("200 OK\r\nContent-Length: {}", there.len()), ""),
            reply("206 Part", "Content-Range: bytes 0-3/4\r\n", there),
        ]);
        assert_eq!(put(&bucket(&server), b"mine"), Ok(expected), "{there}");
    }
    let server = Server::start([reply("412 There", "", "")]);
    assert_eq!(put(&bucket(&server), b"mine"), Ok(Created::Exists));
    assert_eq!(server.lines().len(), 1, "who never failed need not look");
}

#[test]
fn broken_and_false_bodies_are_not_taken_for_objects() {
    let part =
        |range: &str, body: &str| reply("206 Part", &format!("Content-Range: {range}\r\n"), body);
    let unexpected = |what| StoreErrorKind::UnexpectedAnswer(what);
    let cases = [
        (part("bytes 2-5/10", "2345"), Ok("2345")),
        (part("bytes 2-9/10", "23456789"), Ok("2345")),
        (reply("200 OK", "", "0123456789"), Ok("2345")),
        (
            raw("206 P\r\nContent-Range: bytes 2-5/10\r\nContent-Length: 4", "23"),
            Err(StoreErrorKind::Interrupted),
        ),
        (part("bytes 2-5/10", "23"), Err(StoreErrorKind::Interrupted)),
        (raw("200 OK\r\nContent-Length: 10", "0123"), Err(StoreErrorKind::Interrupted)),
        (part("bytes 2-3/4", "23"), Err(StoreErrorKind::Truncated)),
        (reply("200 OK", "", "0123"), Err(StoreErrorKind::Truncated)),
        (reply("416 No", "", ""), Err(StoreErrorKind::Truncated)),
        (part("bytes 0-3/10", "0123"), Err(unexpected("another part than was asked for"))),
        (part("garbage", "2345"), Err(unexpected("another part than was asked for"))),
        (part("bytes 2-3/10", "23"), Err(unexpected("less than the part that was asked for"))),
        (reply("206 Part", "", "2345"), Err(unexpected("another part than was asked for"))),
        (part("bytes 2-18446744073709551615/*", "2345"), Err(unexpected("a part without end"))),
        (raw("666 \u{0}", ""), Err(StoreErrorKind::Interrupted)),
        (Reply::Bytes(vec![0xff; 100]), Err(StoreErrorKind::Interrupted)),
    ];
    for (answer, expected) in cases {
        for open in [bucket, mirror] {
            let server = Server::start(vec![answer.clone(); 3]);
            let store = open(&server);
            let got = store.get_range("c/1", 2, 4).map_err(|error| error.kind);
            assert_eq!(got, expected.map(|text| text.as_bytes().to_vec()));
        }
    }
}

#[test]
fn endless_and_gigantic_bodies_end() {
    let start = |head: &str| format!("HTTP/1.1 {head}\r\n\r\n").into_bytes();
    let huge = "Content-Length: 4611686018427387904";
    let endless = Reply::Endless(start(&format!("200 OK\r\n{huge}")), b'x');
    let server = Server::start(vec![endless; 9]);
    let store = bucket(&server);
    assert_eq!(store.get("c/1").unwrap_err().kind, StoreErrorKind::TooLarge);
    assert_eq!(store.list("").unwrap_err().kind, StoreErrorKind::TooLarge);
    assert_eq!(store.get_range("c/1", 5, 3).unwrap(), b"xxx");
    let far = store.get_range("c/1", 1 << 40, 3).unwrap_err().kind;
    assert!(matches!(far, StoreErrorKind::UnexpectedAnswer(_)), "{far:?}");

    // Without a length: only the bound ends it.
    let endless = Reply::Endless(start("200 OK"), b'<');
    let server = Server::start(vec![endless; 9]);
    let store = bucket(&server);
    assert_eq!(store.list("").unwrap_err().kind, StoreErrorKind::TooLarge);
    let unknown = store.get("c/1").unwrap_err().kind;
    assert!(matches!(unknown, StoreErrorKind::UnexpectedAnswer(_)), "{unknown:?}");

    // Explanations and headers without end.
    let endless = Reply::Endless(start("403 No"), b'x');
    let server = Server::start(vec![endless; 3]);
    assert_eq!(put(&bucket(&server), b"x"), Err(StoreErrorKind::PermissionDenied));
    let endless = Reply::Endless(b"HTTP/1.1 200 OK\r\nX: ".to_vec(), b'x');
    let server = Server::start(vec![endless; 3]);
    assert_eq!(put(&bucket(&server), b"x"), Err(StoreErrorKind::Interrupted));
}

#[test]
fn silence_ends() {
    let silent = [Reply::Silence, raw("200 OK\r\nContent-Length: 4", "ab")];
    let server = Server::start(vec![silent[0].clone(); 3]);
    let error = bucket_with(&server, impatient()).get("c/1").unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::TimedOut, "{error}");
    let server = Server::start(vec![silent[1].clone(); 3]);
    let error = bucket_with(&server, impatient()).get("c/1").unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Interrupted, "{error}");
    // Nobody listens where a server has gone.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let s3 = S3Options {
        endpoint: Some(format!("http://{gone}")),
        is_anonymous: true,
        ..S3Options::default()
    };
    let address = Address::parse("s3://bucket").unwrap();
    let store = Store::open(&address, &OpenOptions { s3, ..options() }).unwrap();
    let error = store.size("c/1").unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unreachable, "{error}");
    assert!(error.to_string().contains("tried 3 times"), "{error}");
}

#[test]
fn listings_are_followed_page_by_page() {
    let page = |names: &[&str], next: &str| {
        let entries: String = names
            .iter()
            .map(|name| format!("<Contents><Key>My%20Node/{name}</Key><Size>1</Size></Contents>"))
            .collect();
        let next = match next {
            "" => "<IsTruncated>false</IsTruncated>".to_owned(),
            next => format!(
                "<IsTruncated>true</IsTruncated><NextContinuationToken>{next}</NextContinuationToken>"
            ),
        };
        let xml = format!(
            "<ListBucketResult><EncodingType>url</EncodingType>{entries}{next}</ListBucketResult>"
        );
        reply("200 OK", "", xml)
    };
    let server = Server::start([
        page(&["c/3", "c/4"], "1/a"),
        Reply::HangUp,
        page(&["c/1", "C/x", "c//1"], "2"),
        page(&["c/2"], ""),
    ]);
    let names: Vec<_> =
        bucket(&server).list("c/").unwrap().into_iter().map(|object| object.name).collect();
    assert_eq!(names, ["c/1", "c/2", "c/3", "c/4"]);
    assert_eq!(
        server.lines()[1..],
        [
            "GET /bucket/?continuation-token=1%2Fa&encoding-type=url&list-type=2&prefix=My%20Node%2Fc%2F",
            "GET /bucket/?continuation-token=1%2Fa&encoding-type=url&list-type=2&prefix=My%20Node%2Fc%2F",
            "GET /bucket/?continuation-token=2&encoding-type=url&list-type=2&prefix=My%20Node%2Fc%2F",
        ]
    );
    let server = Server::start(vec![page(&["c/1"], "again"); 9]);
    let endless = bucket(&server).list("").unwrap_err().kind;
    assert_eq!(endless, StoreErrorKind::UnexpectedAnswer("a listing without end"));
    let server = Server::start(vec![reply("200 OK", "", "<html>Welcome</html>"); 9]);
    let foreign = bucket(&server).list("").unwrap_err().kind;
    assert_eq!(foreign, StoreErrorKind::UnexpectedAnswer("no listing"));
}

#[test]
fn deleting_looks_first_and_does_without_if_it_must() {
    let gone = raw("404 No", "");
    let server = Server::start([gone]);
    assert!(!bucket(&server).delete("c/1").unwrap());
    assert_eq!(server.lines(), ["HEAD /bucket/My%20Node/c/1"]);
    let found = raw("200 OK\r\nContent-Length: 9", "");
    let server = Server::start([found, reply("204 Gone", "", "")]);
    assert!(bucket(&server).delete("c/1").unwrap());
    let denied = raw("403 No", "");
    let why = reply("403 No", "", error_document("AccessDenied"));
    let server = Server::start([denied, why, reply("204 Gone", "", "")]);
    assert!(bucket(&server).delete("c/1").unwrap());
    let asked = ["HEAD", "GET", "DELETE"].map(|method| format!("{method} /bucket/My%20Node/c/1"));
    assert_eq!(server.lines(), asked);
}

#[test]
fn a_mirror_is_read_and_nothing_else() {
    let head = raw("200 OK\r\nContent-Length: 7", "");
    let no_head = raw("405 No", "");
    let server = Server::start([
        reply("200 OK", "", "content"),
        head,
        no_head,
        reply("206 Part", "Content-Range: bytes 0-0/9\r\n", "c"),
        reply("404 No", "", "<html>"),
    ]);
    let store = mirror(&server);
    assert_eq!(store.get("c/1").unwrap(), b"content");
    assert_eq!((store.size("c/1").unwrap(), store.size("c/1").unwrap()), (7, 9));
    assert_eq!(store.get("c/2").unwrap_err().kind, StoreErrorKind::NotFound);
    let done = server.lines().len();
    assert_eq!(server.lines()[0], "GET /repo/c/1");
    assert_eq!(store.list("").unwrap_err().kind, StoreErrorKind::NotListable);
    assert_eq!(put(&store, b""), Err(StoreErrorKind::ReadOnly));
    assert_eq!(store.delete("c/1").unwrap_err().kind, StoreErrorKind::ReadOnly);
    assert_eq!(server.lines().len(), done);
    assert!(!store.can_list());
    assert_eq!((store.place(), store.in_flight()), (Place::ThisMachine, 32));
}

#[test]
fn a_mirror_may_move() {
    let other = Server::start([reply("200 OK", "", "content")]);
    let location = format!("Location: {}/elsewhere\r\n", other.url());
    let server = Server::start([reply("302 There", &location, "")]);
    assert_eq!(mirror(&server).get("c/1").unwrap(), b"content");
    assert_eq!(other.lines(), ["GET /elsewhere"]);
    let round = Server::start(vec![reply("302 There", "Location: /repo/c/1\r\n", ""); 30]);
    let kind = mirror(&round).get("c/1").unwrap_err().kind;
    assert!(matches!(kind, StoreErrorKind::UnexpectedAnswer(_)), "{kind:?}");
}

#[test]
fn plain_http_stays_on_this_machine_unless_it_is_allowed() {
    let address = Address::parse("http://mirror.example.org/repo").unwrap();
    let error = Store::open(&address, &options()).unwrap_err();
    assert!(matches!(error.kind, StoreErrorKind::BadOption(_)), "{error}");
    assert!(error.to_string().contains("use https://"), "{error}");
    let allowed = OpenOptions { allow_plain_http: true, ..options() };
    let store = Store::open(&address, &allowed).unwrap();
    assert_eq!(store.place(), Place::Remote { host: "mirror.example.org".into() });
    assert!(store.is_remote());
}

#[test]
fn a_bucket_without_keys_says_what_to_do_and_asks_nobody() {
    let address = Address::parse("s3://bucket").unwrap();
    let error = Store::open(&address, &options()).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::NoCredentials);
    assert!(error.to_string().contains("AWS_ACCESS_KEY_ID"), "{error}");
}

#[test]
fn stores_work_and_end_inside_of_other_runtimes() {
    let server = Server::start(vec![reply("200 OK", "", "content"); 2]);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let store = bucket(&server);
        assert_eq!(store.get("c/1").unwrap(), b"content");
        drop(store);
    });
}
