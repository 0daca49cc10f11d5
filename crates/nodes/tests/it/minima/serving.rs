//! Blocks and coins served over loopback: as a node asks for them, and as somebody asks who means no good.

use std::io::{Read, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nodekeep_nodes::minima::backup::Contents;
use nodekeep_nodes::minima::coin::CoinProof;
use nodekeep_nodes::minima::ibd::Blocks;
use nodekeep_nodes::minima::peer::{self, Fetched, From};
use nodekeep_nodes::minima::serve::{Limits, serve};
use nodekeep_nodes::minima::store::BlockStore;
use nodekeep_nodes::minima::supply::{Copies, Supply};
use nodekeep_nodes::minima::wire::{Reader, Write};
use tempfile::TempDir;

use super::mega::shortened;
use nodekeep_testkit::minima::scene::{self, World, named};

const LIMITS: Limits = Limits {
    clients: 2,
    patience: Duration::from_millis(400),
    slowest: 1 << 30,
    answer_bytes: 16 << 20,
};

/// A server that runs until it is dropped.
struct Server {
    at: SocketAddr,
    stop: Arc<AtomicBool>,
    heard: Arc<Mutex<Vec<String>>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn of(supply: Supply, limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let (stop, heard) =
            (Arc::new(AtomicBool::new(false)), Arc::<Mutex<Vec<String>>>::default());
        let (stopped, hears) = (stop.clone(), heard.clone());
        let thread = thread::spawn(move || {
            let hear = |event| hears.lock().unwrap().push(format!("{event:?}"));
            serve(&listener, &supply, limits, &stopped, &hear).unwrap();
        });
        Self { at, stop, heard, thread: Some(thread) }
    }

    fn host(&self) -> String {
        self.at.to_string()
    }

    fn client(&self) -> TcpStream {
        let client = TcpStream::connect(self.at).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        client
    }

    fn heard(&self, what: &str) -> bool {
        self.heard.lock().unwrap().iter().any(|event| event.contains(what))
    }

    fn waits_for(&self, what: &str) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !self.heard(what) {
            assert!(Instant::now() < deadline, "{what}: {:?}", self.heard.lock().unwrap());
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

/// A store with the first so many blocks of the small chain.
fn stored(home: &TempDir, name: &str, blocks: usize) -> BlockStore {
    let store = BlockStore::open(&home.path().join(name)).unwrap();
    let world = World::small();
    let bytes = scene::ibd(None, &world.blocks[..blocks]);
    let mut run = Blocks::begin(Reader::new(bytes.as_slice())).unwrap();
    let mut appending = store.appending().unwrap();
    appending.take_all(&mut run).unwrap();
    appending.finish().unwrap();
    store
}

fn blocks_only(home: &TempDir, limits: Limits) -> Server {
    Server::of(Supply { blocks: stored(home, "served", 6), coins: None }, limits)
}

fn mega_file(home: &TempDir) -> PathBuf {
    let path = home.path().join("all.megammr");
    std::fs::write(&path, shortened()).unwrap();
    path
}

/// A frame as a node sends it.
fn frame(payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    frame.data(payload);
    frame
}

fn wanted(addresses: &[&str]) -> Vec<u8> {
    let mut payload = vec![22];
    payload.whole(1).whole(addresses.len() as u64);
    addresses.iter().for_each(|address| {
        payload.data(&named(address).0);
    });
    payload.whole(0);
    payload
}

/// The next answer's type and payload; nothing if the connection is ended.
fn answer(client: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut length = [0; 4];
    client.read_exact(&mut length).ok()?;
    let mut payload = vec![0; u32::from_be_bytes(length) as usize];
    client.read_exact(&mut payload).ok()?;
    let (kind, payload) = payload.split_first()?;
    Some((*kind, payload.to_vec()))
}

/// The numbers of the blocks that an answer has.
fn numbers(payload: &[u8]) -> Vec<u64> {
    let mut blocks = Blocks::begin(Reader::new(payload)).unwrap();
    let mut numbers = Vec::new();
    while let Some(block) = blocks.next_block().unwrap() {
        numbers.push(block.block.header().number);
    }
    blocks.finish().unwrap().end().unwrap();
    numbers
}

#[test]
fn an_archive_is_fetched_once_and_then_only_what_is_new() {
    let home = tempfile::tempdir().unwrap();
    let own = BlockStore::open(&home.path().join("own")).unwrap();
    {
        let early = Server::of(Supply { blocks: stored(&home, "early", 4), coins: None }, LIMITS);
        let fetched = peer::fetch(&early.host(), &own, |_| ()).unwrap();
        assert_eq!(fetched, Fetched { new: 4, dropped: 0 });
    }
    let late = blocks_only(&home, LIMITS);
    assert_eq!(peer::fetch(&late.host(), &own, |_| ()).unwrap(), Fetched { new: 2, dropped: 0 });
    assert_eq!(peer::fetch(&late.host(), &own, |_| ()).unwrap(), Fetched { new: 0, dropped: 0 });
    let extent = own.check().unwrap();
    assert_eq!((extent.first, extent.blocks), (Some(1), 6));
    assert_eq!(extent.last.unwrap().id, World::small().tip().id);
    let file =
        |name: &str| std::fs::read(home.path().join(name).join("blocks/000000000000")).unwrap();
    assert_eq!(file("own"), file("served"));
}

#[test]
fn a_chain_that_went_another_way_is_fetched_again() {
    let home = tempfile::tempdir().unwrap();
    let own = stored(&home, "own", 3);
    // The same beginning, and another third block.
    let mut other = World::default();
    other.block(&[], &[("mine", 100), ("other", 50), ("mine", 7)]);
    other.block(&[0], &[("other", 60), ("mine", 40)]);
    other.block(&[2], &[("other", 7)]);
    other.block(&[], &[]);
    let served = BlockStore::open(&home.path().join("other")).unwrap();
    let bytes = scene::ibd(None, &other.blocks);
    let mut appending = served.appending().unwrap();
    appending.take_all(&mut Blocks::begin(Reader::new(bytes.as_slice())).unwrap()).unwrap();
    appending.finish().unwrap();
    let server = Server::of(Supply { blocks: served, coins: None }, LIMITS);
    let fetched = peer::fetch(&server.host(), &own, |_| ()).unwrap();
    assert_eq!(fetched, Fetched { new: 2, dropped: 1 });
    assert_eq!(own.check().unwrap().last.unwrap().id, other.tip().id);
}

#[test]
fn another_chain_or_one_with_a_gap_costs_nothing_that_is_stored() {
    let home = tempfile::tempdir().unwrap();
    let own = stored(&home, "own", 3);
    let before = std::fs::read(home.path().join("own/blocks/000000000000")).unwrap();
    let mut other = World::default();
    (0..5).for_each(|_| other.block(&[], &[("mine", 1)]));
    let whole = World::small();
    let later = scene::ibd(Some(&whole.blocks[..4]), &whole.blocks[4..]);
    for (name, bytes) in [("other", scene::ibd(None, &other.blocks)), ("later", later)] {
        let served = BlockStore::open(&home.path().join(name)).unwrap();
        let mut run = Blocks::begin(Reader::new(bytes.as_slice())).unwrap();
        if let Some(cascade) = &run.cascade {
            served.set_cascade(&cascade.bytes).unwrap();
        }
        let mut appending = served.appending().unwrap();
        appending.take_all(&mut run).unwrap();
        appending.finish().unwrap();
        let server = Server::of(Supply { blocks: served, coins: None }, LIMITS);
        let error = peer::fetch(&server.host(), &own, |_| ()).unwrap_err().to_string();
        assert!(error.contains("another one, or its archive begins later"), "{name}: {error}");
        let after = std::fs::read(home.path().join("own/blocks/000000000000")).unwrap();
        assert!(before == after, "{name}: what was stored is not as it was");
    }
}

#[test]
fn a_folder_without_blocks_is_not_served_and_stays_as_it_is() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("notes");
    std::fs::create_dir(&folder).unwrap();
    let error = Supply::of(&folder, &home.path().join("scratch")).unwrap_err().to_string();
    assert!(error.contains("no blocks in this folder"), "{error}");
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
    BlockStore::open(&folder).unwrap();
    Supply::of(&folder, &home.path().join("scratch")).unwrap_err();
}

#[test]
fn a_node_that_resyncs_its_archive_gets_all_blocks() {
    let home = tempfile::tempdir().unwrap();
    let server = blocks_only(&home, LIMITS);
    // As the real node was heard: one connection for each request.
    let ask = |number: &[u8]| {
        let mut client = server.client();
        client.write_all(&frame(&[&[15], number].concat())).unwrap();
        answer(&mut client).unwrap()
    };
    assert_eq!(ask(&[0, 1, 0xff]), (16, vec![0, 0, 1, 0]));
    server.waits_for("Asked");
    let (kind, payload) = ask(&[0, 1, 0]);
    assert_eq!((kind, numbers(&payload)), (16, vec![1, 2, 3, 4, 5, 6]));
    assert_eq!(payload, scene::ibd(None, &World::small().blocks));
    assert_eq!(numbers(&ask(&[0, 1, 5]).1), [5, 6]);
    assert!(numbers(&ask(&[0, 1, 7]).1).is_empty());
    assert!(server.heard("Blocks(") && !server.heard("Refused"));
}

#[test]
fn several_requests_come_through_one_connection() {
    let home = tempfile::tempdir().unwrap();
    let server = blocks_only(&home, LIMITS);
    let mut client = server.client();
    for from in [1, 4] {
        client.write_all(&frame(&[15, 0, 1, from])).unwrap();
        assert_eq!(numbers(&answer(&mut client).unwrap().1).len(), 7 - usize::from(from));
    }
}

#[test]
fn an_answer_ends_where_it_becomes_too_large() {
    let sizes: Vec<usize> = World::small().blocks.iter().map(|block| block.bytes.len()).collect();
    for (bytes, count) in [(0, 1), (sizes[0] + sizes[1], 2), (sizes[0] + sizes[1] + 1, 2)] {
        let home = tempfile::tempdir().unwrap();
        let server = blocks_only(&home, Limits { answer_bytes: bytes, ..LIMITS });
        let mut client = server.client();
        client.write_all(&frame(&[15, 0, 1, 0])).unwrap();
        assert_eq!(numbers(&answer(&mut client).unwrap().1).len(), count, "{bytes}");
        // Whoever goes on asking gets everything all the same.
        let own = BlockStore::open(&home.path().join("own")).unwrap();
        assert_eq!(peer::fetch(&server.host(), &own, |_| ()).unwrap().new, 6);
    }
}

#[test]
fn a_wallet_gets_its_coins_with_proofs_and_the_chain() {
    let home = tempfile::tempdir().unwrap();
    let file = shortened();
    let supply = Supply::of(&mega_file(&home), &home.path().join("scratch")).unwrap();
    let blocks_at = supply.coins.as_ref().unwrap().mega.blocks_at as usize;
    let server = Server::of(supply, LIMITS);
    let mut client = server.client();
    client.write_all(&frame(&wanted(&["mine"]))).unwrap();
    let (kind, payload) = answer(&mut client).unwrap();
    assert_eq!(kind, 23);
    let chain = &file[blocks_at..];
    assert_eq!(payload[3..3 + chain.len()], *chain);
    let mut reader = Reader::new(payload.as_slice());
    assert_eq!(reader.whole("version").unwrap(), 2);
    let mut reader = Blocks::begin(reader).unwrap().finish().unwrap();
    let proofs = reader.list("proofs", 9, CoinProof::read).unwrap();
    assert_eq!(proofs.iter().map(|proof| proof.coin.entry).collect::<Vec<_>>(), [2, 4]);
    assert_eq!(reader.data("peers", 9).unwrap(), b"");
    reader.end().unwrap();
    server.waits_for("Coins(");
    // The blocks of the same file are served too.
    assert!(peer::blocks(&server.host(), From::Beginning).unwrap().cascade.is_some());
}

#[test]
fn a_snapshot_is_served_with_the_blocks_of_its_state() {
    let home = tempfile::tempdir().unwrap();
    let contents: Contents = scene::contents();
    let copies = Copies { state: Some(&contents), ..Copies::default() };
    let supply = Supply::of_copies(&copies, &home.path().join("scratch")).unwrap();
    let server = Server::of(supply, LIMITS);
    let mut blocks = peer::blocks(&server.host(), From::Beginning).unwrap();
    assert_eq!(blocks.cascade.as_ref().unwrap().bytes, scene::cascade(&World::small().blocks[..3]));
    assert_eq!(blocks.next_block().unwrap().unwrap().block.header().number, 4);
}

#[test]
fn nonsense_ends_its_connection_and_no_other() {
    let home = tempfile::tempdir().unwrap();
    let server = blocks_only(&home, LIMITS);
    let mut two = wanted(&["mine"]);
    two[1..4].copy_from_slice(&[0, 1, 2]);
    let mut short = vec![22];
    short.whole(1).whole(1).data(&[7; 31]).whole(0);
    let mut many = vec![22];
    many.whole(1).whole(1 << 40);
    let surplus = [wanted(&[]), vec![0]].concat();
    let cases: [(&str, Vec<u8>); 12] = [
        ("does not speak", vec![0; 4]),
        ("does not speak", vec![0xff; 4]),
        ("does not speak", b"GET / HTTP/1.1\r\n".to_vec()),
        ("asks for what is not served", frame(&[99])),
        ("asks for what is not served", frame(&[16, 0, 0, 1, 0])),
        ("no node sends", frame(&[15])),
        ("no node sends", frame(&[15, 0, 1, 0, 0])),
        ("no whole number", frame(&[15, 1, 1, 5])),
        ("way that is not known", frame(&two)),
        ("no node sends", frame(&short)),
        ("no node sends", frame(&many)),
        ("no node sends", frame(&surplus)),
    ];
    for (why, bytes) in cases {
        server.heard.lock().unwrap().clear();
        let mut client = server.client();
        client.write_all(&bytes).unwrap();
        assert_eq!(answer(&mut client), None, "{why}");
        server.waits_for(why);
        let mut good = server.client();
        good.write_all(&frame(&[15, 0, 1, 6])).unwrap();
        assert_eq!(numbers(&answer(&mut good).unwrap().1), [6], "{why}");
    }
}

#[test]
fn coins_are_not_promised_where_there_are_only_blocks() {
    let home = tempfile::tempdir().unwrap();
    let server = blocks_only(&home, LIMITS);
    let mut client = server.client();
    client.write_all(&frame(&wanted(&["mine"]))).unwrap();
    assert_eq!(answer(&mut client), None);
    server.waits_for("only blocks are served here");
}

#[test]
fn who_goes_in_the_middle_is_told_apart_from_who_is_done() {
    let home = tempfile::tempdir().unwrap();
    let server = blocks_only(&home, LIMITS);
    let client = server.client();
    (&client).write_all(&frame(&[15, 0, 1, 0])[..6]).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    server.waits_for("it went in the middle");
    drop(server.client());
    let mut good = server.client();
    good.write_all(&frame(&[15, 0, 1, 0xff])).unwrap();
    assert!(answer(&mut good).is_some());
    assert_eq!(
        server.heard.lock().unwrap().iter().filter(|one| one.contains("Refused")).count(),
        1
    );
}

#[test]
fn no_more_clients_than_allowed_are_served_at_once() {
    let home = tempfile::tempdir().unwrap();
    let patient = Limits { patience: Duration::from_secs(30), ..LIMITS };
    let server = blocks_only(&home, patient);
    let ping = frame(&[15, 0, 1, 0xff]);
    let mut held = [server.client(), server.client()];
    for client in &mut held {
        client.write_all(&ping).unwrap();
        assert!(answer(client).is_some());
    }
    let mut third = server.client();
    // It may be sent away before it has written.
    _ = third.write_all(&ping);
    assert_eq!(answer(&mut third), None);
    server.waits_for("too many at once");
    drop(held);
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let mut again = server.client();
        if again.write_all(&ping).is_ok() && answer(&mut again).is_some() {
            break;
        }
        assert!(Instant::now() < deadline, "nobody is let in again");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn who_is_slow_is_sent_away_however_steadily_it_goes_on() {
    let home = tempfile::tempdir().unwrap();
    let server = blocks_only(&home, LIMITS);
    let begun = Instant::now();
    let mut client = server.client();
    // Silent between the bytes for a quarter of what it may be, so that no single read is too slow.
    let sent = frame(&wanted(&["mine"; 20])).into_iter().take_while(|byte| {
        thread::sleep(LIMITS.patience / 4);
        client.write_all(&[*byte]).is_ok()
    });
    assert!(sent.count() < 20);
    assert!(begun.elapsed() < LIMITS.patience * 6);
    server.waits_for("the connection broke");
    // Who says nothing at all, too.
    let mut silent = server.client();
    assert_eq!(answer(&mut silent), None);
}

#[test]
fn who_takes_nothing_is_sent_away() {
    let home = tempfile::tempdir().unwrap();
    let server = blocks_only(&home, LIMITS);
    let mut client = server.client();
    let request = frame(&[15, 0, 1, 0]);
    // Answers pile up until neither side's system takes any more of them.
    let deadline = Instant::now() + Duration::from_secs(20);
    client.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
    while !server.heard("the connection broke") {
        _ = client.write(&request);
        assert!(Instant::now() < deadline, "it is served for ever");
    }
}

#[test]
fn what_answers_and_is_no_node_is_named() {
    for said in
        [b"HTTP/1.1 400 Bad\r\n".as_slice(), b"", &[0, 0, 0, 5, 23, 0, 0, 1, 0], &[0, 0, 0, 0, 16]]
    {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let said = said.to_vec();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 8];
            stream.read_exact(&mut request).unwrap();
            stream.write_all(&said).unwrap();
        });
        let error = peer::blocks(&host, From::Beginning).unwrap_err().to_string();
        assert!(error.contains(&host), "{error}");
        server.join().unwrap();
    }
}
