//! One record of a MANIFEST: what a flush, a compaction or a new column family changed.
//!
//! RocksDB and LevelDB share the encoding; RocksDB has more tags. A tag of a later version is skipped where its number says that this is safe,
//! and refused otherwise.

use super::wire::{Cursor, Short};

/// Unknown tags with this bit carry their length and may be skipped.
const SKIPPABLE: u32 = 1 << 13;
/// Unknown fields of a new file with this bit must be understood.
const FIELD_REQUIRED: u32 = 1 << 6;

/// Number of a column family; the first is `default`.
pub type FamilyId = u32;

/// A table that became part of a column family.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableMeta {
    /// Number in its name.
    pub number: u64,
    /// Which of the database's folders holds it: 0 is the first.
    pub path_id: u32,
    /// Size in bytes.
    pub size: u64,
    /// Smallest key, with sequence and type.
    pub smallest: Vec<u8>,
    /// Largest key, with sequence and type.
    pub largest: Vec<u8>,
    /// Sequences within; `None` where the format does not say.
    pub sequences: Option<(u64, u64)>,
    /// The oldest blob file that it refers to: 0 for none.
    pub oldest_blob: u64,
}

/// A file of large values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlobMeta {
    /// Number in its name.
    pub number: u64,
    /// Values within.
    pub count: u64,
    /// Size of the records in bytes.
    pub bytes: u64,
}

/// What a record says, in the order in which it applies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edit {
    /// The column family it is about.
    pub family: FamilyId,
    /// A new column family of this name.
    pub added_family: Option<String>,
    /// The column family is dropped.
    pub is_drop: bool,
    /// Name of the order of keys.
    pub comparator: Option<String>,
    /// Logs below this hold nothing of the column family that is not in tables.
    pub log_number: Option<u64>,
    /// LevelDB of old: a second log that is still needed.
    pub previous_log: Option<u64>,
    /// Logs below this may be deleted.
    pub log_to_keep: Option<u64>,
    /// The next number of a file.
    pub next_file: Option<u64>,
    /// The last sequence in tables.
    pub last_sequence: Option<u64>,
    /// The database's id.
    pub db_id: Option<String>,
    /// Level and number of tables that are no longer part of it.
    pub deleted: Vec<(u32, u64)>,
    /// Level and table.
    pub added: Vec<(u32, TableMeta)>,
    /// New blob files.
    pub blobs: Vec<BlobMeta>,
    /// Number of a blob file, and how many more of its values are garbage.
    pub garbage: Vec<(u64, u64)>,
    /// How many more records belong to the same atomic group.
    pub group_remaining: Option<u32>,
}

/// Why a record cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bad {
    /// It ends early.
    Short,
    /// A tag or field that must be understood and is not.
    Unknown(u32),
}

impl From<Short> for Bad {
    fn from(_: Short) -> Self {
        Self::Short
    }
}

impl Edit {
    /// # Errors
    /// If it ends early or has what a reader must know and this one does not.
    pub fn parse(record: &[u8]) -> Result<Self, Bad> {
        let mut edit = Self::default();
        let mut cursor = Cursor::new(record);
        while !cursor.is_empty() {
            let tag = cursor.varint32()?;
            edit.field(tag, &mut cursor)?;
        }
        Ok(edit)
    }

    fn field(&mut self, tag: u32, from: &mut Cursor) -> Result<(), Bad> {
        match tag {
            1 => self.comparator = Some(text(from)?),
            2 => self.log_number = Some(from.varint64()?),
            3 => self.next_file = Some(from.varint64()?),
            4 => self.last_sequence = Some(from.varint64()?),
            // Where the next compaction of a level starts.
            5 => {
                from.varint32()?;
                from.prefixed()?;
            }
            6 => self.deleted.push((from.varint32()?, from.varint64()?)),
            7 | 100 | 102 | 103 => self.added.push(new_table(tag, from)?),
            9 => self.previous_log = Some(from.varint64()?),
            10 => self.log_to_keep = Some(from.varint64()?),
            200 => self.family = from.varint32()?,
            201 => self.added_family = Some(text(from)?),
            202 => self.is_drop = true,
            203 => _ = from.varint32()?,
            300 => self.group_remaining = Some(from.varint32()?),
            400 => self.blobs.push(new_blob(from)?),
            401 => self.garbage.push(blob_garbage(from)?),
            8193 => self.db_id = Some(text(from)?),
            // A synced WAL and its size, in the first of two encodings.
            8196 => skip_wal_addition(from)?,
            8197 => _ = from.varint64()?,
            tag if tag & SKIPPABLE != 0 => _ = from.prefixed()?,
            tag => return Err(Bad::Unknown(tag)),
        }
        Ok(())
    }
}

fn text(from: &mut Cursor) -> Result<String, Bad> {
    Ok(String::from_utf8_lossy(from.prefixed()?).into_owned())
}

fn new_table(tag: u32, from: &mut Cursor) -> Result<(u32, TableMeta), Bad> {
    let level = from.varint32()?;
    let number = from.varint64()?;
    let path_id = if tag == 102 { from.varint32()? } else { 0 };
    let size = from.varint64()?;
    let smallest = from.prefixed()?.to_vec();
    let largest = from.prefixed()?.to_vec();
    let sequences = if tag == 7 { None } else { Some((from.varint64()?, from.varint64()?)) };
    let mut table =
        TableMeta { number, path_id, size, smallest, largest, sequences, oldest_blob: 0 };
    if tag == 103 {
        table_fields(&mut table, from)?;
    }
    Ok((level, table))
}

fn table_fields(table: &mut TableMeta, from: &mut Cursor) -> Result<(), Bad> {
    loop {
        let tag = from.varint32()?;
        if tag == 1 {
            return Ok(());
        }
        let field = from.prefixed()?;
        match tag {
            4 => table.oldest_blob = Cursor::new(field).varint64()?,
            65 => table.path_id = u32::from(Cursor::new(field).u8()?),
            tag if tag & FIELD_REQUIRED != 0 => return Err(Bad::Unknown(tag)),
            _ => {}
        }
    }
}

fn new_blob(from: &mut Cursor) -> Result<BlobMeta, Bad> {
    let blob =
        BlobMeta { number: from.varint64()?, count: from.varint64()?, bytes: from.varint64()? };
    // Method and value of a checksum of the whole file.
    from.prefixed()?;
    from.prefixed()?;
    blob_fields(from)?;
    Ok(blob)
}

fn blob_garbage(from: &mut Cursor) -> Result<(u64, u64), Bad> {
    let garbage = (from.varint64()?, from.varint64()?);
    from.varint64()?;
    blob_fields(from)?;
    Ok(garbage)
}

fn blob_fields(from: &mut Cursor) -> Result<(), Bad> {
    loop {
        let tag = from.varint32()?;
        if tag == 0 {
            return Ok(());
        }
        if tag & FIELD_REQUIRED != 0 {
            return Err(Bad::Unknown(tag));
        }
        from.prefixed()?;
    }
}

fn skip_wal_addition(from: &mut Cursor) -> Result<(), Bad> {
    from.varint64()?;
    loop {
        match from.varint32()? {
            1 => return Ok(()),
            2 => _ = from.varint64()?,
            tag => return Err(Bad::Unknown(tag)),
        }
    }
}
