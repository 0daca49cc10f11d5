//! The wallet's transactions that a backup carries: a list of TxPoWs.

use std::io::Read;

use super::error::{Error, Result};
use super::txpow::{Body, Header, TxPow};
use super::wire::Reader;

/// Reads the list to its end.
///
/// # Errors
/// If it is damaged.
pub fn read<R: Read>(reader: &mut Reader<R>) -> Result<Vec<Header>> {
    let count = reader.length("the number of transactions", u32::MAX)?;
    let mut headers = Vec::new();
    for _ in 0..count {
        let txpow = TxPow::read(reader)?;
        let header = txpow.header;
        if txpow.body == Body::Wrong {
            let reason = "its body is not the one that its header names";
            return Err(Error::Chain { number: header.number, id: header.id, reason });
        }
        headers.push(header);
    }
    reader.end()?;
    Ok(headers)
}
