//! A small chain that obeys Minima's rules, and files with it. It is written from the facts of the format, and keeps all coins in a plain
//! list, of which every node is computed anew each time.

use nodekeep_nodes::minima::address::Address;
use nodekeep_nodes::minima::backup::Contents;
use nodekeep_nodes::minima::keys::{MAX_USES, Seed, modifier};
use nodekeep_nodes::minima::mmr::{Node, Place, peaks_of};
use nodekeep_nodes::minima::number::Number;
use nodekeep_nodes::minima::phrase::Phrase;
use nodekeep_nodes::minima::wire::{Hash, Write, hex};

/// The words of the wallet that [`wallet`] writes.
pub const WORDS: &str = "ABANDON ABILITY ABLE ABOUT ABOVE ABSENT ABSORB ABSTRACT ABSURD ABUSE ACCESS ACCIDENT ZOO ZONE ZERO \
                         ZEBRA YOUTH YOUNG YOU YELLOW YEAR YARD WRONG WRITE";

/// A hash that stands for something.
pub fn named(name: &str) -> Hash {
    Hash::of(name.as_bytes())
}

/// A coin as it is written.
#[derive(Debug, Clone)]
pub struct Coin {
    /// Its identifier.
    pub id: Hash,
    /// Whose it is.
    pub address: Hash,
    /// How many Minima.
    pub amount: u64,
    /// Whom one of its variables names.
    pub mention: Option<Hash>,
    /// Its place among all coins.
    pub entry: u64,
    /// Whether it was spent.
    pub spent: bool,
    /// The number of the block that made it.
    pub created: u64,
}

impl Coin {
    /// As it is written.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.data(&self.id.0).data(&self.address.0).whole(self.amount).data(&[0]).bool(true);
        out.whole(0).data(Number::from(self.entry).digits()).bool(self.spent).whole(self.created);
        match &self.mention {
            None => out.whole(0),
            Some(hash) => out.whole(4).raw(&every_state(hash)),
        };
        out.bool(false);
        out
    }

    fn leaf(&self) -> Node {
        let amount = if self.spent { 0 } else { self.amount };
        let mut bytes = Vec::new();
        bytes.whole(0).raw(&self.bytes()).whole(amount);
        Node { hash: Hash::of(&bytes), sum: Number::from(amount) }
    }
}

/// Four variables, one of each type.
fn every_state(hash: &Hash) -> Vec<u8> {
    let mut out = Vec::new();
    out.raw(&[0, 1]).data(&hash.0);
    out.raw(&[1, 2]).whole(77);
    out.raw(&[2, 4]).data(b"[a text]");
    out.raw(&[3, 8]).bool(true);
    out
}

/// A chain in the making.
#[derive(Debug, Default)]
pub struct World {
    /// All coins there ever were.
    pub coins: Vec<Coin>,
    /// Its blocks, from old to new.
    pub blocks: Vec<Block>,
}

/// A block that was made.
#[derive(Debug, Clone)]
pub struct Block {
    /// Its identifier.
    pub id: Hash,
    /// Its number; the first is 1.
    pub number: u64,
    /// The TxPoW without its body, as the cascade has it.
    pub bare: Vec<u8>,
    /// With its body.
    pub txpow: Vec<u8>,
    /// The whole block.
    pub bytes: Vec<u8>,
    /// Coins that it made and spent, as a tree keeps them.
    pub touched: Vec<Coin>,
}

impl World {
    /// Six blocks: the first makes coins, later ones spend some and make more.
    pub fn small() -> Self {
        let mut world = Self::default();
        world.block(&[], &[("mine", 100), ("other", 50), ("mine", 7)]);
        world.block(&[0], &[("other", 60), ("mine", 40)]);
        world.block(&[], &[]);
        world.block(&[1, 3], &[("mine", 110)]);
        world.block(&[4], &[("stated", 30), ("other", 10)]);
        world.block(&[2], &[("mine", 7)]);
        world
    }

    /// The newest block.
    ///
    /// # Panics
    /// If there is none.
    pub fn tip(&self) -> &Block {
        self.blocks.last().unwrap()
    }

    /// Makes a block that spends the coins with these places and makes coins of so many Minima for these names.
    pub fn block(&mut self, spend: &[usize], make: &[(&str, u64)]) {
        let number = self.blocks.len() as u64 + 1;
        let mut out = Vec::new();
        let peaks = peaks_of(self.coins.len() as u64);
        out.whole(peaks.len() as u64);
        peaks.iter().for_each(|place| write_entry(&mut out, *place, &self.node(*place)));
        out.whole(spend.len() as u64);
        let mut touched = Vec::new();
        for index in spend {
            // Each proof holds after those before it.
            out.raw(&self.coins[*index].bytes());
            self.write_proof(&mut out, *index as u64, number - 1);
            self.coins[*index].spent = true;
            touched.push(self.coins[*index].clone());
        }
        out.whole(make.len() as u64);
        for (whose, amount) in make {
            let coin = self.new_coin(whose, *amount, number);
            out.raw(&coin.bytes());
            touched.push(coin.clone());
            self.coins.push(coin);
        }
        self.finish(number, &out, touched);
    }

    fn new_coin(&self, whose: &str, amount: u64, created: u64) -> Coin {
        let entry = self.coins.len() as u64;
        Coin {
            id: named(&format!("coin {entry}")),
            address: named(whose),
            amount,
            mention: (whose == "stated").then(|| named("mine")),
            entry,
            spent: false,
            created,
        }
    }

    fn finish(&mut self, number: u64, coins: &[u8], touched: Vec<Coin>) {
        let body = body(number);
        let parent = self.blocks.last().map(|block| block.id);
        let header = self.header(number, parent, &Hash::of(&body));
        let bare = [header.as_slice(), &[0]].concat();
        let txpow = [header.as_slice(), &[1], &body].concat();
        let bytes = [txpow.as_slice(), coins].concat();
        self.blocks.push(Block { id: Hash::of(&header), number, bare, txpow, bytes, touched });
    }

    fn header(&self, number: u64, parent: Option<Hash>, body: &Hash) -> Vec<u8> {
        let mut out = Vec::new();
        out.whole(number * 1_000_000).data(&[0]).whole(1_700_000_000_000 + number).whole(number);
        out.data(&[0xff; 32]);
        let parent = parent.map_or(vec![0], |hash| hash.0.to_vec());
        out.raw(&[1]).data(&parent).raw(&[31]).data(&[0]);
        out.data(&self.root().0).whole(0);
        for _ in 0..2 {
            out.whole(65_536).whole(1024).whole(256).data(&[0xff; 32]);
        }
        out.data(&[0]).data(&body.0);
        out
    }

    /// The node at a place, from the coins below it.
    pub fn node(&self, place: Place) -> Node {
        if place.row == 0 {
            return self.coins[place.entry as usize].leaf();
        }
        let below = |entry| self.node(Place { row: place.row - 1, entry });
        above(&below(place.entry * 2), &below(place.entry * 2 + 1))
    }

    /// The root of all coins as they are now.
    pub fn root(&self) -> Hash {
        let mut peaks: Vec<Node> =
            peaks_of(self.coins.len() as u64).into_iter().map(|place| self.node(place)).collect();
        while peaks.len() > 1 {
            peaks = bag(&peaks);
        }
        peaks[0].hash
    }

    fn write_proof(&self, out: &mut Vec<u8>, entry: u64, block: u64) {
        let peaks = peaks_of(self.coins.len() as u64);
        let mut place = Place { row: 0, entry };
        let mut chunks = Vec::new();
        while !peaks.contains(&place) {
            let sibling = Place { row: place.row, entry: place.entry ^ 1 };
            chunks.push((sibling.entry < place.entry, self.node(sibling)));
            place = Place { row: place.row + 1, entry: place.entry / 2 };
        }
        out.whole(block).whole(chunks.len() as u64);
        for (left, node) in chunks {
            out.bool(left).data(&node.hash.0).number(&node.sum);
        }
    }

    /// All entries of the range as it is now, as a node writes it.
    pub fn range(&self, block: u64) -> Vec<u8> {
        let leaves = self.coins.len() as u64;
        let mut out = Vec::new();
        out.whole(block).whole(0).data(Number::from(leaves).digits());
        let rows = (0..64).take_while(|row| leaves >> row > 0);
        let places: Vec<Place> = rows
            .flat_map(|row| (0..leaves >> row).map(move |entry| Place { row, entry }))
            .collect();
        out.whole(places.len() as u64);
        places.iter().for_each(|place| write_entry(&mut out, *place, &self.node(*place)));
        out
    }
}

fn above(left: &Node, right: &Node) -> Node {
    let sum = left.sum.to_u64().unwrap() + right.sum.to_u64().unwrap();
    let mut bytes = Vec::new();
    bytes.whole(1).data(&left.hash.0).data(&right.hash.0).whole(sum);
    Node { hash: Hash::of(&bytes), sum: Number::from(sum) }
}

/// Peaks as the leaves of a range: its own peaks.
fn bag(peaks: &[Node]) -> Vec<Node> {
    fn node(peaks: &[Node], place: Place) -> Node {
        if place.row == 0 {
            return peaks[place.entry as usize];
        }
        let below = |entry| node(peaks, Place { row: place.row - 1, entry });
        above(&below(place.entry * 2), &below(place.entry * 2 + 1))
    }
    peaks_of(peaks.len() as u64).into_iter().map(|place| node(peaks, place)).collect()
}

fn write_entry(out: &mut Vec<u8>, place: Place, node: &Node) {
    out.whole(place.row).whole(0).data(Number::from(place.entry).digits());
    out.data(&node.hash.0).number(&node.sum);
}

/// A body with one of everything.
fn body(number: u64) -> Vec<u8> {
    let mut coin = World::default().new_coin("stated", 5, number);
    coin.id = named("placeholder");
    let mut out = Vec::new();
    out.data(&named("random").0).data(&[0xff; 32]);
    for _ in 0..2 {
        // The transaction: an input, an output, states, a link.
        out.whole(1).raw(&coin.bytes()).whole(1).raw(&coin.bytes());
        out.whole(4).raw(&every_state(&named("other"))).data(&[0]);
        // The witness: a signature of one part, a coin proof, a script.
        out.whole(1).whole(1).data(&named("key").0).data(&[9; 40]);
        out.whole(0).whole(1).bool(true).data(&named("neighbour").0).whole(0);
        out.whole(1).raw(&coin.bytes()).whole(number).whole(0);
        out.whole(1).data(b"RETURN TRUE").whole(0).whole(0);
    }
    out.whole(1).data(&named("a transaction").0);
    out
}

/// Perhaps a cascade, and blocks.
pub fn ibd(cascade: Option<&[Block]>, blocks: &[Block]) -> Vec<u8> {
    let mut out = Vec::new();
    out.bool(cascade.is_some());
    if let Some(blocks) = cascade {
        out.raw(&self::cascade(blocks));
    }
    out.whole(blocks.len() as u64);
    for block in blocks.iter() {
        out.raw(&block.bytes);
    }
    out
}

/// From the newest to the oldest.
pub fn cascade(blocks: &[Block]) -> Vec<u8> {
    let mut out = Vec::new();
    out.whole(blocks.len() as u64);
    for block in blocks.iter().rev() {
        out.raw(&block.bare).whole(0);
    }
    out
}

/// The tree as a node saves it. Coins of `mine` are its own.
pub fn tree(blocks: &[Block]) -> Vec<u8> {
    let mut out = Vec::new();
    out.whole(blocks.len() as u64);
    for block in blocks {
        out.raw(&block.bytes).whole(block.number).whole(0).data(&[0]).whole(0);
        out.whole(block.touched.len() as u64);
        for coin in block.touched.iter() {
            out.raw(&coin.bytes());
        }
        let own = |coin: &&Coin| coin.address == named("mine") || coin.mention.is_some();
        let own: Vec<&Coin> = block.touched.iter().filter(own).collect();
        out.whole(own.len() as u64);
        own.iter().for_each(|coin| {
            out.whole(0).data(Number::from(coin.entry).digits());
        });
    }
    out
}

/// A wallet as H2 writes it: two keys with so many uses each.
pub fn wallet(uses: [u64; 2]) -> String {
    let seed = Seed::of(&Phrase::clean(WORDS).unwrap());
    let seed_text = Hash::of(WORDS.as_bytes());
    let publics = [0, 1].map(|index| seed.private_key(index).public_key());
    let private = |index| {
        let mut bytes = Vec::new();
        bytes.data(&seed_text.0).data(&modifier(index));
        Hash::of(&bytes)
    };
    let key = |index: usize| {
        let (public, private) = (publics[index], private(index as u32));
        let modifier = hex(&modifier(index as u32));
        format!(
            "({}, 64, 3, {}, {MAX_USES}, '0x{modifier}', '{private}', '{public}')",
            index + 1,
            uses[index]
        )
    };
    let script = |index: usize| {
        let public = publics[index];
        let address = Address::of_key(&public);
        format!("({}, 'RETURN SIGNEDBY({public})', '{address}', 1, 1, '{public}', 1)", index + 2)
    };
    let odd = Address::of_script("RETURN 'é' EQ [x;y]");
    format!(
        "-- H2 2.1.214; \n;              \nCREATE USER IF NOT EXISTS \"SA\" SALT '11' HASH '8e' ADMIN;\n\
         CREATE CACHED TABLE \"PUBLIC\".\"KEYS\"(\n    \"ID\" BIGINT GENERATED BY DEFAULT AS IDENTITY(START WITH 1 RESTART WITH 3) DEFAULT ON NULL NOT NULL,\n    \
         \"SIZE\" INTEGER NOT NULL,\n    \"DEPTH\" INTEGER NOT NULL,\n    \"USES\" BIGINT NOT NULL,\n    \"MAXUSES\" BIGINT NOT NULL,\n    \
         \"MODIFIER\" CHARACTER VARYING(80) NOT NULL,\n    \"PRIVATEKEY\" CHARACTER VARYING(80) NOT NULL,\n    \"PUBLICKEY\" CHARACTER VARYING(80) NOT NULL\n);\n\
         -- 2 +/- SELECT COUNT(*) FROM PUBLIC.KEYS;\nINSERT INTO \"PUBLIC\".\"KEYS\" VALUES\n{},\n{};     \n\
         CREATE CACHED TABLE \"PUBLIC\".\"SCRIPTS\"(\n    \"ID\" BIGINT NOT NULL,\n    \"SCRIPT\" CHARACTER VARYING(8192) NOT NULL,\n    \
         \"ADDRESS\" CHARACTER VARYING(80) NOT NULL,\n    \"SIMPLE\" INTEGER NOT NULL,\n    \"DEFAULTADDRESS\" INTEGER NOT NULL,\n    \
         \"PUBLICKEY\" CHARACTER VARYING(80) NOT NULL,\n    \"TRACK\" INTEGER NOT NULL\n);\n\
         INSERT INTO \"PUBLIC\".\"SCRIPTS\" VALUES\n(1, U&'RETURN ''\\00e9'' EQ [x;y]', '{odd}', 0, 0, '0x00', 0);\n\
         INSERT INTO \"PUBLIC\".\"SCRIPTS\" VALUES\n{},\n{};\n\
         CREATE CACHED TABLE \"PUBLIC\".\"SEED\"(\n    \"ID\" INTEGER NOT NULL,\n    \"PHRASE\" CHARACTER VARYING(8192) NOT NULL,\n    \
         \"SEED\" CHARACTER VARYING(80) NOT NULL\n);\n-- 1 +/- SELECT COUNT(*) FROM PUBLIC.SEED;\n\
         INSERT INTO \"PUBLIC\".\"SEED\" VALUES\n(1, '{WORDS}', '{seed_text}');  \n\
         ALTER TABLE \"PUBLIC\".\"SEED\" ADD CONSTRAINT \"PUBLIC\".\"CONSTRAINT_2\" UNIQUE(\"ID\");               \n",
        key(0),
        key(1),
        script(0),
        script(1),
    )
}

/// The same after its secrets were wiped.
pub fn wiped(sql: &str) -> String {
    let wallet = nodekeep_nodes::minima::wallet::Wallet::parse(sql.as_bytes()).unwrap();
    let mut sql = sql.replace(WORDS, "").replace(&Hash::of(WORDS.as_bytes()).to_string(), "0x00");
    for key in &wallet.keys {
        let line = sql.lines().find(|line| line.contains(&format!(", '{}')", key.public))).unwrap();
        let private = line.split('\'').nth(3).unwrap().to_owned();
        sql = sql.replace(&private, "0x00");
    }
    sql
}

/// A whole backup in the clear: three blocks in the cascade, three in the tree.
pub fn contents() -> Contents {
    contents_with(&wallet([3, 0]))
}

/// The same with another wallet.
pub fn contents_with(wallet: &str) -> Contents {
    let world = World::small();
    let text = |json: &str| {
        let mut out = Vec::new();
        out.data(json.as_bytes());
        out
    };
    let mut history = 1_u32.to_be_bytes().to_vec();
    history.raw(&world.blocks[3].txpow);
    Contents::of([
        wallet.as_bytes(),
        &cascade(&world.blocks[..3]),
        &tree(&world.blocks[3..]),
        &text(r#"{"encrypted_seed":"0x00","webhooks":[]}"#),
        &text("{}"),
        &history,
    ])
}

/// A MegaMMR after the third block, with three more blocks.
pub fn mega() -> Vec<u8> {
    let whole = World::small();
    let mut early = World::default();
    early.block(&[], &[("mine", 100), ("other", 50), ("mine", 7)]);
    early.block(&[0], &[("other", 60), ("mine", 40)]);
    early.block(&[], &[]);
    let mut out = Vec::new();
    out.whole(1).whole(1).raw(&early.range(3));
    let unspent: Vec<&Coin> = early.coins.iter().filter(|coin| !coin.spent).collect();
    out.whole(unspent.len() as u64);
    for coin in unspent.iter() {
        out.raw(&coin.bytes());
    }
    out.raw(&ibd(Some(&whole.blocks[..3]), &whole.blocks[3..]));
    out
}
