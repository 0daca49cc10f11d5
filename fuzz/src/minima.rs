//! The files of a Minima node. Passwords and compression are left out: what lies under them is what a parser meets.

use nodekeep_nodes::minima::backup::Contents;
use nodekeep_nodes::minima::coin::CoinProof;
use nodekeep_nodes::minima::frame::{self, Request};
use nodekeep_nodes::minima::ibd::Blocks;
use nodekeep_nodes::minima::mega::{self, Wanted};
use nodekeep_nodes::minima::txblock::TxBlock;
use nodekeep_nodes::minima::verify::{self, Keys, Parts};
use nodekeep_nodes::minima::wallet::{Wallet, raise};
use nodekeep_nodes::minima::wire::Reader;
use nodekeep_nodes::minima::{archive, chain, history};
use zeroize::Zeroizing;

/// The plaintext of a backup: framed as it is, and as each of its sections. The first byte says which.
pub fn minima_backup(data: &[u8]) {
    let Some((which, section)) = data.split_first() else {
        return;
    };
    if let Ok(contents) = Contents::from_plaintext(Zeroizing::new(section.to_vec())) {
        assert_eq!(contents.plaintext(), section);
    }
    let _ = chain::Tree::read(&mut Reader::new(section));
    let _ = history::read(&mut Reader::new(section));
    let sections =
        std::array::from_fn(|index| if index == usize::from(which % 6) { section } else { &[] });
    let contents = Contents::of(sections);
    // No public key is made: that is half a second each.
    let _ = verify::contents(&contents, Keys::First(0));
    let _ = Parts::read(&contents);
}

/// A wallet's SQL. What is raised is read again and is raised.
pub fn minima_wallet(data: &[u8]) {
    let Ok(wallet) = Wallet::parse(data) else {
        return;
    };
    let Ok((written, raised)) = raise(data, |key| key.uses.saturating_add(1)) else {
        return;
    };
    let again = Wallet::parse(&written).expect("a wallet that was raised is a wallet");
    assert_eq!(raised.len(), wallet.keys.len());
    for (before, after) in wallet.keys.iter().zip(&again.keys) {
        assert_eq!((before.public, before.uses + 1), (after.public, after.uses));
    }
}

/// Archives, as they are packed and as runs of blocks. A coin that was written is read as it was.
pub fn minima_archive(data: &[u8]) {
    let _ = archive::verify(data);
    if let Ok(blocks) = Blocks::begin(Reader::new(data)) {
        let _ = blocks.finish();
    }
    if let Ok((block, bytes)) = Reader::new(data).keep(TxBlock::read) {
        assert_eq!(bytes, data[..bytes.len()]);
        let _ = block.flaw();
    }
    if let Ok(proof) = CoinProof::read(&mut Reader::new(data)) {
        let mut written = Vec::new();
        proof.write(&mut written);
        assert_eq!(CoinProof::read(&mut Reader::new(written.as_slice())).ok(), Some(proof));
    }
}

/// MegaMMR files.
pub fn minima_mega(data: &[u8]) {
    let _ = mega::verify(data);
    let _ = mega::proofs(|| Ok(data), &Wanted::default());
}

/// Frames at a node's main port: requests one after the other until one is none, and an answer with blocks.
pub fn minima_frames(data: &[u8]) {
    let mut rest = data;
    while let Ok(Some(length)) = Request::length(&mut rest) {
        if Request::read(&mut rest, length).is_err() {
            break;
        }
    }
    if let Ok(mut blocks) = frame::answer(data) {
        while let Ok(Some(_)) = blocks.next_block() {}
    }
}
