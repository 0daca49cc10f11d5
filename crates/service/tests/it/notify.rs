//! Who is told what, when, and what becomes of messages that nobody takes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel as pipe};
use std::thread;

use jiff::{SignedDuration, Timestamp};
use nodekeep_service::copies::Distance;
use nodekeep_service::fleet::overview::{
    Capacity, Code, Jobs, Machine as FleetMachine, Node, Overview, Reason, Repository, Role,
    Target, Verdict,
};
use nodekeep_service::notify::alerts::{Alerts, Condition, judge};
use nodekeep_service::notify::channel::{Channel, Written};
use nodekeep_service::notify::fleet::{conditions, joined, lasting};
use nodekeep_service::notify::outbox::Outbox;
use nodekeep_service::notify::{Message, Topic, condition};
use nodekeep_service::schedule::Schedule;
use nodekeep_service::schedule::decide::{Ending, History, Run};
use nodekeep_service::schedule::job::Job;

fn moment(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn hours(number: i64) -> SignedDuration {
    SignedDuration::from_hours(number)
}

fn channel(text: &str) -> Channel {
    toml::from_str::<Written>(text).unwrap().channel().unwrap()
}

fn message(title: &str, at: Timestamp) -> Message {
    Message {
        topic: Topic::Failure,
        title: title.into(),
        text: "It failed.".into(),
        node: Some("guts".into()),
        host: "box".into(),
        at,
    }
}

fn wrong(key: &str) -> Condition {
    Condition {
        key: key.into(),
        topic: Topic::Failure,
        title: format!("{key} failed"),
        text: "Because.".into(),
        node: None,
    }
}

#[test]
fn a_thing_is_told_when_it_begins_each_day_while_it_lasts_and_when_it_is_over() {
    let begin = moment("2026-11-21T02:00:00Z");
    let mut known = Alerts::new();
    let mut told = Vec::new();
    for hour in 0..60 {
        let now = begin + hours(hour);
        let is_wrong = if hour < 50 { vec![wrong("a")] } else { Vec::new() };
        let (alerts, messages) = judge(&known, &is_wrong, "box", now);
        told.extend(messages.into_iter().map(|message| (hour, message.topic, message.text)));
        known = alerts;
    }
    let expected = [
        (0, Topic::Failure, "Because."),
        (24, Topic::Failure, "Because. It has been so for 24 h."),
        (48, Topic::Failure, "Because. It has been so for 48 h."),
        (50, Topic::Recovery, "It is right again, after 50 h."),
    ];
    let told: Vec<_> =
        told.iter().map(|(hour, topic, text)| (*hour, *topic, text.as_str())).collect();
    assert_eq!(told, expected);
}

#[test]
fn a_daily_backup_is_overdue_after_26_hours_and_an_hourly_one_after_70_minutes() {
    let since = moment("2026-11-20T02:00:00Z");
    let of = |when: &str| Schedule {
        name: "guts".parse().unwrap(),
        node: Some("guts".into()),
        job: Job::Backup { components: Vec::new() },
        when: when.parse().unwrap(),
        zone: "UTC".into(),
        jitter_secs: 0,
        catch_up: false,
        retries: 3,
        retry_after_secs: 300,
        paused: false,
        since,
    };
    for (when, minutes) in [("0 2 * * *", 26 * 60), ("0 * * * *", 70)] {
        let planned = [of(when).plan("m").unwrap()];
        let mut history = History::new();
        history.entry("guts".parse().unwrap()).or_default().done = Some(since);
        let at = |minutes| {
            let now = since + SignedDuration::from_mins(minutes);
            condition::of_schedules(&planned, &history, now)
        };
        assert_eq!(at(minutes), [], "{when}");
        let late = at(minutes + 1);
        assert_eq!((late.len(), late[0].topic), (1, Topic::Overdue), "{when}");
    }
}

#[test]
fn a_failure_is_one_only_after_the_last_try() {
    let schedule: Schedule = toml::from_str(
        "name = 'guts'\nnode = 'guts'\njob = { backup = {} }\nwhen = '0 2 * * *'\nzone = 'UTC'\nretries = 1\nsince = '2026-11-20T00:00:00Z'",
    )
    .unwrap();
    let planned = [schedule.plan("m").unwrap()];
    let slot = moment("2026-11-20T02:00:00Z");
    let with = |attempt, ending| {
        let mut history = History::new();
        let past = history.entry("guts".parse().unwrap()).or_default();
        past.run = Some(Run { slot, attempt, ended: Some((slot, ending)) });
        past.message = Some("the store does not answer".into());
        condition::of_schedules(&planned, &history, slot + hours(1))
    };
    assert_eq!(with(1, Ending::Retry), []);
    assert_eq!(with(1, Ending::Done), []);
    assert_eq!(with(1, Ending::Failed).len(), 1);
    let last = with(2, Ending::Retry);
    assert_eq!(last[0].title, "guts: backup failed");
    assert!(last[0].text.starts_with("The store does not answer."), "{}", last[0].text);
}

/// A web server that answers each request with the next status, and hands on what it was sent.
fn server(statuses: &'static [u16]) -> (String, Receiver<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, heard) = pipe();
    thread::spawn(move || {
        for status in statuses {
            let (stream, _) = listener.accept().unwrap();
            tell.send(answer(stream, *status)).unwrap();
        }
    });
    (format!("http://{address}/hook/secret"), heard)
}

fn answer(stream: TcpStream, status: u16) -> (String, String) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        reader.read_line(&mut head).unwrap();
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
    });
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).unwrap();
    let mut stream = stream;
    write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        .unwrap();
    (head, String::from_utf8(body).unwrap())
}

#[test]
fn a_refused_message_is_tried_again_in_order_and_never_lost() {
    let (url, heard) = server(&[503, 200, 200]);
    let channels = [channel(&format!("name = 'ops'\nby = 'webhook'\nurl = '{url}'"))];
    let folder = tempfile::tempdir().unwrap();
    let outbox = Outbox::new(folder.path().join("outbox"));
    let now = Timestamp::now();
    outbox.put(&channels, &[message("first", now)], now).unwrap();
    let later = now + SignedDuration::from_secs(1);
    outbox.put(&channels, &[message("second", later)], later).unwrap();

    let round = outbox.send(&channels, later).unwrap();
    assert_eq!((round.taken, heard.try_iter().count()), (0, 1), "the second waits for the first");
    assert!(outbox.waiting().unwrap()[0].refused.as_ref().unwrap().contains("503"));
    let round = outbox.send(&channels, later).unwrap();
    assert_eq!((round.taken, heard.try_iter().count()), (0, 0), "not before its time");
    let round = outbox.send(&channels, round.next.unwrap()).unwrap();
    assert_eq!(round.taken, 2);
    let titles: Vec<String> = heard
        .try_iter()
        .map(|(_, body)| serde_json::from_str::<Message>(&body).unwrap().title)
        .collect();
    assert_eq!(titles, ["first", "second"]);
    assert!(outbox.waiting().unwrap().is_empty());
}

#[test]
fn what_is_refused_for_good_is_named_without_the_secret_in_its_address() {
    let (url, _heard) = server(&[404]);
    let channels = [channel(&format!("name = 'ops'\nby = 'slack'\nurl = '{url}'"))];
    let folder = tempfile::tempdir().unwrap();
    let outbox = Outbox::new(folder.path().to_owned());
    let now = Timestamp::now();
    outbox.put(&channels, &[message("x", now)], now).unwrap();
    let round = outbox.send(&channels, now).unwrap();
    assert_eq!(round.lost, [("ops".to_owned(), "it answered 404 Not Found".to_owned())]);
    let dead = channel("name = 'ops'\nby = 'slack'\nurl = 'http://127.0.0.1:9/T0/B0/hunter2'");
    let refused = dead.send(&message("x", now)).unwrap_err();
    assert!(refused.may_retry && !refused.reason.contains("hunter2"), "{}", refused.reason);
    assert!(!format!("{dead:?}").contains("hunter2"));
}

#[test]
fn a_token_comes_from_a_file_and_a_channel_hears_only_what_it_wants() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "tk_1\n").unwrap();
    let (url, heard) = server(&[200]);
    let ntfy = channel(&format!(
        "name = 'phone'\nby = 'ntfy'\nurl = '{url}'\ntoken-file = '{}'\non = ['failure']\nnodes = ['guts']",
        token.display()
    ));
    let now = Timestamp::now();
    ntfy.send(&message("guts: backup failed", now)).unwrap();
    let (head, body) = heard.recv().unwrap();
    assert!(head.starts_with("POST /hook HTTP/1.1"), "{head}");
    assert!(head.to_lowercase().contains("authorization: bearer tk_1"), "{head}");
    assert!(body.contains("\"topic\":\"secret\""), "{body}");
    let other = Message { node: Some("relay".into()), ..message("x", now) };
    let well = Message { topic: Topic::Success, ..message("x", now) };
    assert_eq!(
        [ntfy.wants(&message("x", now)), ntfy.wants(&other), ntfy.wants(&well)],
        [true, false, false]
    );
}

#[test]
fn a_program_gets_the_message_in_its_environment_and_as_json() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let line = format!("{{ echo \"$NODEKEEP_TITLE\"; cat; }} > '{}'", out.display());
    let told = channel(&format!("name = 'p'\nby = 'command'\nrun = ['sh', '-c', {line:?}]"));
    told.send(&message("guts: backup failed", Timestamp::now())).unwrap();
    let text = std::fs::read_to_string(out).unwrap();
    assert!(text.starts_with("guts: backup failed\n{\"topic\":\"failure\""), "{text}");
    let fails = channel("name = 'p'\nby = 'command'\nrun = ['false']");
    assert!(fails.send(&message("x", Timestamp::now())).unwrap_err().may_retry);
}

/// A mail server of one conversation; what it is sent is handed on.
fn mail_server() -> (u16, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, heard) = pipe();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut all = String::new();
        let mut in_data = false;
        stream.write_all(b"220 here\r\n").unwrap();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap() == 0 {
                break;
            }
            all.push_str(&line);
            let answer: &[u8] = match line.trim_end() {
                "." => b"250 taken\r\n",
                _ if in_data => continue,
                "DATA" => b"354 go on\r\n",
                "QUIT" => b"221 bye\r\n",
                _ => b"250 ok\r\n",
            };
            in_data = line.starts_with("DATA");
            stream.write_all(answer).unwrap();
        }
        tell.send(all).unwrap();
    });
    (port, heard)
}

#[test]
fn a_mail_says_who_what_and_where() {
    let (port, heard) = mail_server();
    let mail = channel(&format!(
        "name = 'm'\nby = 'smtp'\nserver = '127.0.0.1'\nport = {port}\nsecurity = 'none'\nfrom = 'Nodekeep <nk@example.org>'\nrecipients = ['ada@example.org', 'bob@example.org']"
    ));
    mail.send(&message("guts: backup failed", Timestamp::now())).unwrap();
    drop(mail);
    let said = heard.recv().unwrap();
    for expected in [
        "RCPT TO:<bob@example.org>",
        "Subject: [nodekeep] guts: backup failed",
        "It failed.",
        "Node: guts",
        "Machine: box",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

#[test]
fn sections_that_make_no_channel_are_refused_with_what_is_missing() {
    let cases = [
        ("name = 'a b'\nby = 'slack'\nurl = 'x'", "its name is letters"),
        ("name = 'a'\nby = 'slack'", "`url`"),
        ("name = 'a'\nby = 'slack'\nurl = 'x'\ntemplate = '{}'", "`template` goes with"),
        ("name = 'a'\nby = 'command'", "`run` is missing"),
        ("name = 'a'\nby = 'smtp'\nserver = 'x'\nfrom = 'a@b'", "`recipients` is missing"),
        (
            "name = 'a'\nby = 'smtp'\nserver = 'x'\nfrom = 'a@b'\nrecipients = ['a@b']\nuser = 'u'",
            "go together",
        ),
    ];
    for (text, expected) in cases {
        let error = toml::from_str::<Written>(text).unwrap().channel().unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
    assert!(toml::from_str::<Written>("name = 'a'\nby = 'pigeon'").is_err());
    assert!(toml::from_str::<Written>("name = 'a'\nby = 'slack'\nulr = 'x'").is_err());
}

/// An overview with a node for which these reasons are told, in a repository that is nearly full.
fn fleet(codes: &[(Code, bool)], silent: bool) -> Overview {
    let reason = |(code, risk): &(Code, bool)| Reason {
        code: *code,
        text: "So it is.".into(),
        remedy: Some("nodekeep drill guts".into()),
        risk: *risk,
    };
    Overview {
        at: moment("2026-11-21T02:00:00Z").into(),
        version: "0".into(),
        host: "box".into(),
        role: Role::Keeper,
        repository: Repository {
            location: "/srv/b".into(),
            id: "ab".into(),
            bytes: Some(1),
            objects: Some(1),
            snapshots: Some(1),
            capacity: Some(Capacity { total: 1000, free: 10 }),
            growth_per_day: None,
            days_until_full: None,
            distance: Distance::SameDisk,
            offsite: false,
            copies: Vec::new(),
            scrub: None,
            dedup: None,
            damaged_objects: 0,
            snapshots_lost: 0,
            words_confirmed: true,
        },
        nodes: vec![Node {
            name: "guts".into(),
            profile: "guts".into(),
            id: "guts".into(),
            here: false,
            host: Some("rack1".into()),
            verdict: Verdict::AtRisk,
            reasons: codes.iter().map(reason).collect(),
            newest: None,
            snapshots: 1,
            oldest: None,
            rpo: Target::of(Some(10.0), Some(20.0)),
            rto: Target::default(),
            drill: None,
            verified: None,
            next: None,
            paused: false,
            health: None,
            retention: None,
            fence_marks: 0,
        }],
        machines: vec![FleetMachine {
            id: "m1".into(),
            host: "rack1".into(),
            last_seen: moment("2026-11-01T02:00:00Z").into(),
            nodes: vec!["guts".into()],
            silent,
        }],
        jobs: Jobs::default(),
        alerts: Vec::new(),
    }
}

fn keys(conditions: &[Condition]) -> Vec<&str> {
    conditions.iter().map(|condition| condition.key.as_str()).collect()
}

#[test]
fn the_fleet_tells_of_drills_targets_silence_and_room() {
    /// Reasons with whether each is a risk, whether the machine is silent, and the keys of what is told.
    type Case<'a> = (&'a [(Code, bool)], bool, &'a [&'a str]);
    let cases: [Case<'_>; 6] = [
        (&[], false, &["fleet space"]),
        (&[(Code::DrillFailed, true)], false, &["fleet drill guts", "fleet space"]),
        // Nobody asked for drills: no alert.
        (&[(Code::NeverDrilled, false)], false, &["fleet space"]),
        (&[(Code::NeverDrilled, true)], false, &["fleet drill guts", "fleet space"]),
        (
            &[(Code::Overdue, true), (Code::VerifyFailed, true)],
            false,
            &["fleet rpo guts", "fleet verify guts", "fleet space"],
        ),
        (&[(Code::RtoMissed, true)], true, &["fleet rto guts", "fleet silent m1", "fleet space"]),
    ];
    for (codes, silent, expected) in cases {
        let found = conditions(&fleet(codes, silent));
        assert_eq!(keys(&found), expected, "{codes:?}");
    }
    let found = conditions(&fleet(&[(Code::DrillFailed, true)], false));
    assert!(found[0].text.contains("nodekeep drill guts"), "{}", found[0].text);
    assert_eq!((found[0].topic, found[1].topic), (Topic::Verification, Topic::Space));
}

#[test]
fn what_the_fleet_shows_lasts_until_it_is_looked_at_again_and_is_told_once() {
    let now = moment("2026-11-21T02:00:00Z");
    let found = conditions(&fleet(&[(Code::Overdue, true)], true));
    let (known, told) = judge(&Alerts::new(), &found, "box", now);
    assert_eq!(told.len(), 3);
    let (known, told) = judge(&known, &joined(Vec::new(), lasting(&known)), "box", now + hours(1));
    assert_eq!((told.len(), known.len()), (0, 3));
    // A schedule that is overdue says the same of the node: it is told once, and the other is over.
    let mut overdue = wrong("overdue guts");
    (overdue.topic, overdue.node) = (Topic::Overdue, Some("guts".into()));
    let both = joined(vec![overdue], lasting(&known));
    assert_eq!(keys(&both), ["overdue guts", "fleet silent m1", "fleet space"]);
    let (known, _) = judge(&known, &[], "box", now + hours(2));
    assert!(known.is_empty() && lasting(&known).is_empty());
}
