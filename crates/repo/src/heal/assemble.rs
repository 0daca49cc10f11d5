//! Puts a chunk together from parts of files: it is right if its id says so, wherever the parts came from.

use crate::codec::MAX_CHUNK;
use crate::id::ChunkId;
use crate::keys::DomainKeys;
use crate::pack::PackKind;

use super::missed::Piece;

/// Reads so many bytes of the file that a piece is of, from an offset in bytes on; `None` if it is not there.
pub(super) type ReadPiece<'a> = dyn FnMut(&Piece) -> Option<Vec<u8>> + 'a;

/// The chunk, if the pieces cover it, each can be read, and they are what they were.
pub(super) fn assemble(
    id: &ChunkId,
    pieces: &[Piece],
    domain: &DomainKeys,
    read: &mut ReadPiece<'_>,
) -> Option<Vec<u8>> {
    let end = pieces.iter().map(|piece| piece.offset as usize + piece.len as usize).max()?;
    if end > MAX_CHUNK {
        return None;
    }
    let mut chunk = Vec::with_capacity(end);
    let mut order: Vec<&Piece> = pieces.iter().collect();
    order.sort_by_key(|piece| (piece.offset, std::cmp::Reverse(piece.len)));
    for piece in order {
        let from = piece.offset as usize;
        if from > chunk.len() {
            // What lay between belongs to files that no snapshot has any more.
            return None;
        }
        if from + piece.len as usize <= chunk.len() {
            continue;
        }
        if let Some(bytes) = read(piece).filter(|bytes| bytes.len() == piece.len as usize) {
            chunk.truncate(from);
            chunk.extend_from_slice(&bytes);
        }
    }
    (domain.chunk_id(PackKind::Data, &chunk) == *id).then_some(chunk)
}
