//! A node's backup file (`.bak`), opened and written.
//!
//! It is a salt, an initialisation vector and AES-128-CBC over gzip over six sections; nothing authenticates it. So everything that can
//! show damage is looked at: lengths, padding, gzip's checksum and size, the frame of each section, and that nothing follows.
//! What the sections hold is the business of [`wallet`](super::wallet), [`chain`](super::chain) and their like.

use std::io::{Read, Write as _};
use std::num::NonZeroU32;
use std::ops::Range;

use aes::Aes128;
use cbc::cipher::block_padding::{NoPadding, Pkcs7};
use cbc::cipher::{BlockDecryptMut, BlockEncryptMut, KeyIvInit};
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;
use ring::pbkdf2;
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use super::error::{Error, Result};
use super::password::Password;
use super::wire::{DATA_LIMIT, Reader, Write};

const SALT: usize = 8;
const BLOCK: usize = 16;

/// Two lengths, the salt and the vector.
const HEADER: usize = 4 + SALT + 4 + BLOCK;

/// How often the password is hashed.
const ROUNDS: NonZeroU32 = NonZeroU32::new(65_536).unwrap();

/// What gzip begins with: its mark and the only method there is.
const GZIP: &[u8] = &[0x1f, 0x8b, 8];

/// Gzip cannot pack tighter than this, so that a size it claims can be checked against its own.
const DENSEST: usize = 1032;

/// More than any node can restore, since it holds a backup in memory several times: what commands unpack at most, in bytes.
pub const LIMIT: u64 = 1 << 30;

/// A part of a backup. They always come in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Section {
    /// The wallet's database as SQL: phrase, seed, keys with their uses, scripts.
    Wallet,
    /// The cascade: old blocks, fewer the older.
    Cascade,
    /// The tree of recent blocks with their coins.
    ChainTree,
    /// What the owner set, as JSON, with the locked phrase and Maxima's keys.
    Settings,
    /// Known peers, as JSON.
    Peers,
    /// Transactions of the wallet.
    History,
}

impl Section {
    /// Each of them, in order.
    pub const ALL: [Self; 6] =
        [Self::Wallet, Self::Cascade, Self::ChainTree, Self::Settings, Self::Peers, Self::History];

    /// What a file with it is called.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Wallet => "wallet.sql",
            Self::Cascade => "cascade.db",
            Self::ChainTree => "chaintree.db",
            Self::Settings => "userprefs.db",
            Self::Peers => "p2p.db",
            Self::History => "txpowlist.db",
        }
    }
}

impl std::fmt::Display for Section {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.file_name())
    }
}

/// What is in a backup, in the clear. Erased when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Contents {
    bytes: Zeroizing<Vec<u8>>,
    sections: [Range<usize>; 6],
}

impl std::fmt::Debug for Contents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Contents({} bytes)", self.bytes.len())
    }
}

impl Contents {
    /// From the six sections with their lengths, one after the other.
    ///
    /// # Errors
    /// If a length does not fit or something follows.
    pub fn from_plaintext(bytes: Zeroizing<Vec<u8>>) -> Result<Self> {
        let mut reader = Reader::new(bytes.as_slice());
        let mut sections = [const { 0..0 }; 6];
        for (section, range) in Section::ALL.into_iter().zip(&mut sections) {
            let wrong = |source| Error::Section { section, source };
            let length = reader.length("its length", DATA_LIMIT).map_err(wrong)?;
            let start = position(&reader);
            reader.skip(length, "its content").map_err(wrong)?;
            *range = start..position(&reader);
        }
        let end = reader.end();
        end.map_err(|source| Error::Damaged { reason: format!("after the sections, {source}") })?;
        Ok(Self { bytes, sections })
    }

    /// Of sections that lie apart, in their order.
    pub fn of(sections: [&[u8]; 6]) -> Self {
        let size = sections.iter().map(|section| section.len() + 4).sum();
        let mut bytes = Zeroizing::new(Vec::with_capacity(size));
        let sections = sections.map(|section| {
            let start = bytes.len() + 4;
            bytes.data(section);
            start..bytes.len()
        });
        Self { bytes, sections }
    }

    /// The same with another wallet.
    pub fn with_wallet(&self, sql: &[u8]) -> Self {
        let mut sections = Section::ALL.map(|section| self.section(section));
        sections[0] = sql;
        Self::of(sections)
    }

    /// One section.
    pub fn section(&self, section: Section) -> &[u8] {
        &self.bytes[self.sections[section as usize].clone()]
    }

    /// All sections with their lengths, one after the other.
    pub fn plaintext(&self) -> &[u8] {
        &self.bytes
    }
}

/// Everything lies in memory, so its positions are sizes.
fn position<R: Read>(reader: &Reader<R>) -> usize {
    usize::try_from(reader.at()).unwrap_or(usize::MAX)
}

/// Opens a backup. At most `limit` bytes are unpacked; twice as many lie in memory for a moment.
///
/// # Errors
/// If it is no backup, if the password is wrong, if it is damaged; these are told apart as far as the format lets them.
pub fn open(file: &[u8], password: &Password, limit: u64) -> Result<Contents> {
    let sealed = Sealed::parse(file)?;
    let packed = sealed.decrypt(password)?;
    Contents::from_plaintext(unpack(&packed, limit)?)
}

/// Writes a backup as a node does.
///
/// # Errors
/// If the system gives no random bytes.
pub fn seal(contents: &Contents, password: &Password) -> Result<Vec<u8>> {
    let random = SystemRandom::new();
    let (mut salt, mut vector) = ([0; SALT], [0; BLOCK]);
    random.fill(&mut salt).map_err(|_| Error::Random)?;
    random.fill(&mut vector).map_err(|_| Error::Random)?;
    let packed = pack(contents.plaintext())?;
    let key = stretch(password, &salt);
    let cipher = cbc::Encryptor::<Aes128>::new(key.as_slice().into(), &vector.into());
    let mut file = Vec::with_capacity(HEADER + packed.len() + BLOCK);
    file.data(&salt).data(&vector);
    file.extend(cipher.encrypt_padded_vec_mut::<Pkcs7>(&packed));
    Ok(file)
}

struct Sealed<'a> {
    salt: &'a [u8; SALT],
    vector: &'a [u8; BLOCK],
    blocks: &'a [u8],
}

impl<'a> Sealed<'a> {
    fn parse(file: &'a [u8]) -> Result<Self> {
        let no = |reason| Error::NotABackup { reason };
        let rest = file.strip_prefix(&[0, 0, 0, 8]);
        let rest = rest.ok_or(no("it does not begin with a salt of 8 bytes"))?;
        let (salt, rest) = rest.split_first_chunk().ok_or(Error::CutOff)?;
        let rest = rest.strip_prefix(&[0, 0, 0, 16]);
        let rest = rest.ok_or(no("no vector of 16 bytes follows the salt"))?;
        let (vector, blocks) = rest.split_first_chunk().ok_or(Error::CutOff)?;
        if blocks.is_empty() || !blocks.len().is_multiple_of(BLOCK) {
            return Err(Error::CutOff);
        }
        Ok(Self { salt, vector, blocks })
    }

    /// What tells a wrong password from damage: gzip's mark at one end and the padding at the other.
    fn decrypt(&self, password: &Password) -> Result<Zeroizing<Vec<u8>>> {
        let key = stretch(password, self.salt);
        let cipher = cbc::Decryptor::<Aes128>::new(key.as_slice().into(), self.vector.into());
        let mut plain = Zeroizing::new(self.blocks.to_vec());
        cipher.decrypt_padded_mut::<NoPadding>(&mut plain).map_err(|_| Error::CutOff)?;
        match (plain.starts_with(GZIP), padding(&plain)) {
            (true, Some(padding)) => {
                let end = plain.len() - padding;
                plain.truncate(end);
                Ok(plain)
            }
            (true, None) => Err(Error::CutOff),
            (false, Some(_)) => {
                let reason =
                    "its first bytes do not open (a wrong password looks so once in 256 times)";
                Err(Error::Damaged { reason: reason.to_owned() })
            }
            (false, None) => Err(Error::WrongPassword),
        }
    }
}

/// How many bytes of padding there are, if it is whole.
fn padding(plain: &[u8]) -> Option<usize> {
    let count = usize::from(*plain.last()?);
    let tail = plain.len().checked_sub(count).filter(|_| (1..=BLOCK).contains(&count))?;
    plain[tail..].iter().all(|byte| usize::from(*byte) == count).then_some(count)
}

fn stretch(password: &Password, salt: &[u8]) -> Zeroizing<[u8; BLOCK]> {
    let mut key = Zeroizing::new([0; BLOCK]);
    let secret = password.reveal().as_bytes();
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ROUNDS, salt, secret, key.as_mut_slice());
    key
}

/// Unpacks into as much room as the end of the packed bytes claims, so that no copy is left behind by growing.
fn unpack(packed: &[u8], limit: u64) -> Result<Zeroizing<Vec<u8>>> {
    let damaged = |reason: String| Error::Damaged { reason };
    let claimed = packed.last_chunk().map_or(0, |size| u32::from_le_bytes(*size)) as usize;
    if claimed as u64 > limit {
        return Err(Error::TooLarge { limit });
    }
    let possible = packed.len().saturating_mul(DENSEST);
    if claimed > possible {
        return Err(damaged("the size at its end is wrong".to_owned()));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(claimed));
    let mut rest = GzDecoder::new(packed);
    let mut part = Read::take(&mut rest, claimed as u64 + 1);
    part.read_to_end(&mut bytes).map_err(|error| damaged(format!("unpacking fails: {error}")))?;
    if bytes.len() != claimed {
        return Err(damaged("the size at its end is wrong".to_owned()));
    }
    if !rest.into_inner().is_empty() {
        return Err(damaged("something follows what is packed".to_owned()));
    }
    Ok(bytes)
}

fn pack(plain: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    // More than the worst case, so that no copy is left behind by growing.
    let room = Zeroizing::new(Vec::with_capacity(plain.len() + plain.len() / 512 + 64));
    let mut packer = GzEncoder::new(Room(room), flate2::Compression::default());
    packer.write_all(plain)?;
    Ok(packer.finish()?.0)
}

/// Packed secrets are secrets.
struct Room(Zeroizing<Vec<u8>>);

impl std::io::Write for Room {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
