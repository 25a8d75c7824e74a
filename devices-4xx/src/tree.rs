//! Device trees: a plain mutable tree of nodes and properties, read from and written to the flattened format of the
//! Devicetree Specification (chapter 5), versions 16 and 17.
//!
//! The reader is our own because trees are untrusted input here: those in the registry index with what the blob
//! says, or panic on it. Writing is `vm-fdt`'s. Left out: versions before 16 (no tree compiler has made them since
//! 2005), and deleting or renaming nodes, which nobody here needs.
//!
//! # Threat model
//! A blob may come from a stranger. Every offset is checked before use; depth and sizes are bounded, so parsing takes
//! time and memory linear in the blob's length and never recurses deeper than [`MAX_DEPTH`].

use std::fmt;

/// Deepest nesting of nodes that is accepted; real trees have less than ten.
pub const MAX_DEPTH: usize = 32;
/// Largest blob that is accepted, in bytes; real trees have a few thousand.
pub const MAX_SIZE: usize = 2 << 20;

const MAGIC: u32 = 0xD00D_FEED;
const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROP: u32 = 3;
const NOP: u32 = 4;
const END: u32 = 9;

/// What is wrong with a flattened tree, or with one being written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// The magic number is missing.
    #[error("No flattened device tree: it starts with {0:#010x} and not with 0xd00dfeed")]
    Magic(u32),
    /// The blob is shorter than it says, or than a header.
    #[error("The device tree is truncated: {needed} bytes are needed, {present} are there")]
    Truncated {
        /// Bytes that the header or a token calls for.
        needed: usize,
        /// Bytes present.
        present: usize,
    },
    /// Larger than [`MAX_SIZE`].
    #[error("The device tree has {0} bytes; at most {MAX_SIZE} are accepted")]
    TooLarge(usize),
    /// A version that this reader does not know.
    #[error("The device tree has version {0}; only 16 and 17 are known")]
    Version(u32),
    /// The structure block breaks the grammar.
    #[error("The device tree is malformed at byte {0:#x} of its structure block")]
    Malformed(usize),
    /// Nodes are nested deeper than [`MAX_DEPTH`].
    #[error("The device tree nests nodes deeper than {MAX_DEPTH}")]
    TooDeep,
    /// A name that the format does not allow.
    #[error("The device tree cannot be written: {0}")]
    Unwritable(String),
}

/// A node: a name with its unit address, properties and children, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    /// Name with unit address, for example `serial@ef600300`; empty for the root.
    pub name: String,
    /// Properties in order.
    pub properties: Vec<(String, Vec<u8>)>,
    /// Children in order.
    pub children: Vec<Self>,
}

/// A whole tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    /// Physical memory that the guest must leave alone, as (address, bytes).
    pub reserved: Vec<(u64, u64)>,
    /// Physical id of the boot CPU.
    pub boot_cpu: u32,
    /// The root node.
    pub root: Node,
}

/// A value that a property can hold.
pub trait PropertyValue {
    /// The bytes as the format stores them.
    fn bytes(&self) -> Vec<u8>;
}

/// One cell.
impl PropertyValue for u32 {
    fn bytes(&self) -> Vec<u8> {
        self.to_be_bytes().into()
    }
}
/// A string with its terminating NUL.
impl PropertyValue for &str {
    fn bytes(&self) -> Vec<u8> {
        [self.as_bytes(), &[0]].concat()
    }
}
/// Cells.
impl<const N: usize> PropertyValue for [u32; N] {
    fn bytes(&self) -> Vec<u8> {
        self.iter().flat_map(|cell| cell.to_be_bytes()).collect()
    }
}
/// Cells.
impl PropertyValue for Vec<u32> {
    fn bytes(&self) -> Vec<u8> {
        self.iter().flat_map(|cell| cell.to_be_bytes()).collect()
    }
}
/// A list of strings.
impl<const N: usize> PropertyValue for [&str; N] {
    fn bytes(&self) -> Vec<u8> {
        self.iter().flat_map(|string| string.bytes()).collect()
    }
}
/// Bytes as they are.
impl PropertyValue for &[u8] {
    fn bytes(&self) -> Vec<u8> {
        self.to_vec()
    }
}
/// An empty property.
impl PropertyValue for () {
    fn bytes(&self) -> Vec<u8> {
        Vec::new()
    }
}

impl Node {
    /// A node without properties.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// The node with one more property, for writing trees down.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl PropertyValue) -> Self {
        self.set(name, value);
        self
    }

    /// The node with one more child, for writing trees down.
    #[must_use]
    pub fn child(mut self, child: Self) -> Self {
        self.children.push(child);
        self
    }

    /// A property's bytes.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.properties.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_slice())
    }

    /// Sets a property, replacing the one of that name.
    pub fn set(&mut self, name: &str, value: impl PropertyValue) {
        let value = value.bytes();
        match self.properties.iter_mut().find(|(n, _)| n == name) {
            Some((_, old)) => *old = value,
            None => self.properties.push((name.into(), value)),
        }
    }

    /// A property as cells; trailing bytes that fill no cell are ignored. Empty where the property is absent.
    #[must_use]
    pub fn cells(&self, name: &str) -> Vec<u32> {
        let bytes = self.get(name).unwrap_or_default();
        bytes.chunks_exact(4).map(|c| u32::from_be_bytes([c[0], c[1], c[2], c[3]])).collect()
    }

    /// The first cell of a property.
    #[must_use]
    pub fn cell(&self, name: &str) -> Option<u32> {
        self.cells(name).first().copied()
    }

    /// A property as one string; `None` where it is absent or not UTF-8.
    #[must_use]
    pub fn string(&self, name: &str) -> Option<&str> {
        self.strings(name).next()
    }

    /// A property as a list of strings; those that are not UTF-8 are left out.
    pub fn strings(&self, name: &str) -> impl Iterator<Item = &str> {
        let bytes = self.get(name).unwrap_or_default();
        let bytes = bytes.strip_suffix(&[0]).unwrap_or(bytes);
        let whole = if bytes.is_empty() { None } else { Some(bytes) };
        whole.into_iter().flat_map(|b| b.split(|&c| c == 0)).filter_map(|s| std::str::from_utf8(s).ok())
    }

    /// Whether `compatible` names this model.
    #[must_use]
    pub fn is_compatible(&self, model: &str) -> bool {
        self.strings("compatible").any(|s| s == model)
    }

    /// Whether `status` lets the node be used.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.string("status").is_none_or(|status| matches!(status, "okay" | "ok"))
    }

    /// The node's phandle.
    #[must_use]
    pub fn phandle(&self) -> Option<u32> {
        self.cell("phandle").or_else(|| self.cell("linux,phandle"))
    }

    /// `#address-cells` and `#size-cells` for the node's children: the specification's defaults are 2 and 1.
    #[must_use]
    pub fn child_cells(&self) -> (usize, usize) {
        let count = |name, default| self.cell(name).map_or(default, |n| n.min(4) as usize);
        (count("#address-cells", 2), count("#size-cells", 1))
    }

    /// A child by its full name, or by its name without the unit address.
    #[must_use]
    pub fn find_child(&self, name: &str) -> Option<&Self> {
        self.child_index(name).map(|i| &self.children[i])
    }

    fn child_index(&self, name: &str) -> Option<usize> {
        let base = |n: &Self| n.name.split('@').next() == Some(name);
        self.children.iter().position(|n| n.name == name).or_else(|| self.children.iter().position(base))
    }

    /// Calls `visit` for this node and all below it, parents first.
    pub fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Self)) {
        visit(self);
        for child in &self.children {
            child.walk(visit);
        }
    }

    /// Calls `visit` for this node and all below it, parents first.
    pub fn walk_mut(&mut self, visit: &mut dyn FnMut(&mut Self)) {
        visit(self);
        for child in &mut self.children {
            child.walk_mut(visit);
        }
    }
}

impl Tree {
    /// The node at a path such as `/plb/opb/serial@ef600300`; unit addresses may be left out.
    #[must_use]
    pub fn node(&self, path: &str) -> Option<&Node> {
        path.split('/').filter(|s| !s.is_empty()).try_fold(&self.root, |node, name| node.find_child(name))
    }

    /// The node at a path, to change it.
    pub fn node_mut(&mut self, path: &str) -> Option<&mut Node> {
        path.split('/').filter(|s| !s.is_empty()).try_fold(&mut self.root, |node, name| {
            let index = node.child_index(name)?;
            node.children.get_mut(index)
        })
    }

    /// The child of the root of that name, made if it is missing.
    pub fn top_level(&mut self, name: &str) -> &mut Node {
        let index = self.root.child_index(name).unwrap_or_else(|| {
            self.root.children.push(Node::new(name));
            self.root.children.len() - 1
        });
        &mut self.root.children[index]
    }

    /// The memory node: the first child of the root whose `device_type` is `memory`, or that is named so.
    #[must_use]
    pub fn memory(&self) -> Option<&Node> {
        let children = &self.root.children;
        let typed = children.iter().find(|node| node.string("device_type") == Some("memory"));
        typed.or_else(|| self.root.find_child("memory"))
    }

    /// Reads a flattened tree. Bytes after it are ignored.
    ///
    /// # Errors
    /// What breaks the format.
    pub fn parse(blob: &[u8]) -> Result<Self, TreeError> {
        let header = Header::parse(blob)?;
        let mut reader = Reader { structure: header.structure, strings: header.strings, at: 0 };
        let root = reader.document()?;
        Ok(Self { reserved: header.reserved, boot_cpu: header.boot_cpu, root })
    }

    /// How many bytes the flattened tree at the start of `blob` says it has; `None` where there is none.
    #[must_use]
    pub fn blob_size(blob: &[u8]) -> Option<usize> {
        (be32(blob, 0) == Some(MAGIC)).then(|| be32(blob, 4).map(|size| size as usize))?
    }

    /// Writes the flattened tree, version 17.
    ///
    /// # Errors
    /// A name that the format does not allow, or overlapping reservations.
    pub fn to_blob(&self) -> Result<Vec<u8>, TreeError> {
        let unwritable = |error: vm_fdt::Error| TreeError::Unwritable(error.to_string());
        let reserved: Result<Vec<_>, _> = self
            .reserved
            .iter()
            .map(|&(address, size)| vm_fdt::FdtReserveEntry::new(address, size))
            .collect();
        let mut writer =
            vm_fdt::FdtWriter::new_with_mem_reserv(&reserved.map_err(unwritable)?).map_err(unwritable)?;
        writer.set_boot_cpuid_phys(self.boot_cpu);
        write_node(&mut writer, &self.root)?;
        writer.finish().map_err(unwritable)
    }
}

fn write_node(writer: &mut vm_fdt::FdtWriter, node: &Node) -> Result<(), TreeError> {
    let named = |error: vm_fdt::Error, name: &str| TreeError::Unwritable(format!("{error}: {name:?}"));
    let open = writer.begin_node(&node.name).map_err(|error| named(error, &node.name))?;
    for (name, value) in &node.properties {
        writer.property(name, value).map_err(|error| named(error, name))?;
    }
    for child in &node.children {
        write_node(writer, child)?;
    }
    writer.end_node(open).map_err(|error| named(error, &node.name))
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes([word[0], word[1], word[2], word[3]]))
}

struct Header<'a> {
    structure: &'a [u8],
    strings: &'a [u8],
    reserved: Vec<(u64, u64)>,
    boot_cpu: u32,
}

impl<'a> Header<'a> {
    fn parse(blob: &'a [u8]) -> Result<Self, TreeError> {
        let word =
            |at: usize| be32(blob, at).ok_or(TreeError::Truncated { needed: at + 4, present: blob.len() });
        let magic = word(0)?;
        if magic != MAGIC {
            return Err(TreeError::Magic(magic));
        }
        let total = word(4)? as usize;
        if total > MAX_SIZE {
            return Err(TreeError::TooLarge(total));
        }
        let blob = blob.get(..total).ok_or(TreeError::Truncated { needed: total, present: blob.len() })?;
        let (version, compatible) = (word(20)?, word(24)?);
        if version < 16 || compatible > 17 {
            return Err(TreeError::Version(version));
        }
        let block = |start: usize, size: Option<usize>| {
            let end = size.map_or(Some(total), |size| start.checked_add(size));
            end.and_then(|end| blob.get(start..end))
                .ok_or(TreeError::Truncated { needed: end.unwrap_or(usize::MAX), present: total })
        };
        let structure_size = if version >= 17 { Some(word(36)? as usize) } else { None };
        Ok(Self {
            structure: block(word(8)? as usize, structure_size)?,
            strings: block(word(12)? as usize, Some(word(32)? as usize))?,
            reserved: Self::reservations(block(word(16)? as usize, None)?)?,
            boot_cpu: word(28)?,
        })
    }

    /// The reservation block ends with an entry of two zeros.
    fn reservations(block: &[u8]) -> Result<Vec<(u64, u64)>, TreeError> {
        let mut reserved = Vec::new();
        for entry in block.chunks_exact(16) {
            let number = |at: usize| entry[at..at + 8].iter().fold(0, |n, &b| n << 8 | u64::from(b));
            match (number(0), number(8)) {
                (0, 0) => return Ok(reserved),
                entry => reserved.push(entry),
            }
        }
        Err(TreeError::Truncated { needed: block.len() + 16, present: block.len() })
    }
}

/// Walks the tokens of the structure block.
struct Reader<'a> {
    structure: &'a [u8],
    strings: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    const fn malformed(&self) -> TreeError {
        TreeError::Malformed(self.at)
    }

    fn token(&mut self) -> Result<u32, TreeError> {
        loop {
            let token = be32(self.structure, self.at).ok_or_else(|| self.malformed())?;
            self.at += 4;
            if token != NOP {
                return Ok(token);
            }
        }
    }

    /// Takes `len` bytes and the padding to the next token.
    fn take(&mut self, len: usize) -> Result<&[u8], TreeError> {
        let start = self.at;
        let end = start.checked_add(len).filter(|&end| end <= self.structure.len());
        let end = end.ok_or_else(|| self.malformed())?;
        self.at = end.next_multiple_of(4);
        Ok(&self.structure[start..end])
    }

    fn document(&mut self) -> Result<Node, TreeError> {
        if self.token()? != BEGIN_NODE {
            return Err(self.malformed());
        }

        let root = self.node(0)?;
        if self.token()? == END { Ok(root) } else { Err(self.malformed()) }
    }

    /// Reads a node whose BEGIN_NODE token has been taken.
    fn node(&mut self, depth: usize) -> Result<Node, TreeError> {
        if depth >= MAX_DEPTH {
            return Err(TreeError::TooDeep);
        }
        let name = terminated(self.structure, self.at).ok_or_else(|| self.malformed())?;
        let mut node = Node::new(name);
        self.take(name.len() + 1)?;
        loop {
            match self.token()? {
                BEGIN_NODE => {
                    let child = self.node(depth + 1)?;
                    node.children.push(child);
                }
                // Properties come before children.
                PROP if node.children.is_empty() => {
                    let property = self.property()?;
                    node.properties.push(property);
                }
                END_NODE => return Ok(node),
                _ => return Err(self.malformed()),
            }
        }
    }

    fn property(&mut self) -> Result<(String, Vec<u8>), TreeError> {
        let len = self.cell()? as usize;
        let name_offset = self.cell()? as usize;
        let name = terminated(self.strings, name_offset).ok_or_else(|| self.malformed())?.to_owned();
        Ok((name, self.take(len)?.to_vec()))
    }

    fn cell(&mut self) -> Result<u32, TreeError> {
        let cell = be32(self.structure, self.at).ok_or_else(|| self.malformed())?;
        self.at += 4;
        Ok(cell)
    }
}

/// The NUL-terminated UTF-8 string at `at`.
fn terminated(block: &[u8], at: usize) -> Option<&str> {
    let rest = block.get(at..)?;
    let len = rest.iter().position(|&b| b == 0)?;
    std::str::from_utf8(&rest[..len]).ok()
}

impl fmt::Display for Node {
    /// The node as source text would show it, for comparing trees in messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn show(node: &Node, indent: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let name = if node.name.is_empty() { "/" } else { &node.name };
            writeln!(f, "{:indent$}{name} {{", "")?;
            for (name, value) in &node.properties {
                writeln!(f, "{:1$}{name} = {value:02x?};", "", indent + 2)?;
            }
            for child in &node.children {
                show(child, indent + 2, f)?;
            }
            writeln!(f, "{:indent$}}};", "")
        }
        show(self, 0, f)
    }
}

#[cfg(test)]
mod tests;
