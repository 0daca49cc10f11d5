//! Clients that take their time, or too much.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::house::House;

fn ends_within(stream: &mut TcpStream, most: Duration) -> bool {
    stream.set_read_timeout(Some(most)).unwrap();
    let began = Instant::now();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).is_ok() && began.elapsed() < most
}

#[test]
fn a_head_and_a_body_that_do_not_come_end_the_connection() {
    let house = House::new();
    let body = format!(
        "POST /api/v1/plans HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{{",
        house.admin
    );
    let starts = ["", "GET /livez HTTP/1.1\r\nHost: loc", body.as_str()];
    let mut streams: Vec<TcpStream> = starts
        .iter()
        .map(|start| {
            let mut stream = TcpStream::connect(house.address()).unwrap();
            stream.write_all(start.as_bytes()).unwrap();
            stream
        })
        .collect();
    assert_eq!(house.nobody().get("/livez").status, 200, "others are served meanwhile");
    for (stream, start) in streams.iter_mut().zip(starts) {
        assert!(ends_within(stream, Duration::from_secs(20)), "{start:?}");
    }
}

#[test]
fn many_idle_connections_leave_room_again() {
    let house = House::new();
    let idle: Vec<TcpStream> =
        (0..400).filter_map(|_| TcpStream::connect(house.address()).ok()).collect();
    assert!(idle.len() > 256);
    drop(idle);
    let until = Instant::now() + Duration::from_secs(10);
    while house.nobody().get("/livez").status != 200 {
        assert!(Instant::now() < until, "the server came back");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn stopping_ends_streams_of_events_and_idle_connections() {
    let house = House::new();
    let mut events = TcpStream::connect(house.address()).unwrap();
    let head = format!(
        "GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n",
        house.admin
    );
    events.write_all(head.as_bytes()).unwrap();
    let mut first = [0; 15];
    events.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200 OK");
    let began = Instant::now();
    house.server.stop();
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert!(ends_within(&mut events, Duration::from_secs(2)));
}
