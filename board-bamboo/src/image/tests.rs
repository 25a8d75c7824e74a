use std::io::Write;

use proptest::prelude::*;

use super::*;

const RAM: u64 = 128 << 20;

/// A program header: type, offset, virtual and physical address, size in the file and in memory.
type Header = [u32; 6];

/// A 32-bit big-endian PowerPC executable with these segments; `data` follows the headers.
fn elf(entry: u32, headers: &[Header], data: &[u8]) -> Vec<u8> {
    let mut file = vec![0; 52];
    file[..7].copy_from_slice(&[0x7F, b'E', b'L', b'F', 1, 2, 1]);
    let mut half = |at: usize, value: u16| file[at..at + 2].copy_from_slice(&value.to_be_bytes());
    half(16, 2);
    half(18, 20);
    half(42, 32);
    half(44, headers.len() as u16);
    file[24..28].copy_from_slice(&entry.to_be_bytes());
    file[28..32].copy_from_slice(&52_u32.to_be_bytes());
    for header in headers {
        let [kind, offset, virtual_address, physical_address, file_size, memory_size] = *header;
        let fields = [kind, offset, virtual_address, physical_address, file_size, memory_size, 7, 0x1000];
        file.extend(fields.iter().flat_map(|field| field.to_be_bytes()));
    }
    file.extend(data);
    file
}

/// A vmlinux in small: linked at 0xC000_0000, loaded at 0, with a BSS.
fn vmlinux() -> Vec<u8> {
    elf(0xC000_0004, &[[1, 84, 0xC000_0000, 0, 8, 0x1000]], &[1, 2, 3, 4, 5, 6, 7, 8])
}

fn seal(header: &mut [u8], data: &[u8]) {
    header[24..28].copy_from_slice(&crc32fast::hash(data).to_be_bytes());
    header[4..8].fill(0);
    let crc = crc32fast::hash(&header[..64]);
    header[4..8].copy_from_slice(&crc.to_be_bytes());
}

/// A uImage: operating system, architecture, type and compression are the four bytes of `kind`.
pub(crate) fn uimage(kind: [u8; 4], load: u32, entry: u32, data: &[u8]) -> Vec<u8> {
    let mut file = vec![0; 64];
    file[..4].copy_from_slice(&uimage::MAGIC.to_be_bytes());
    file[12..16].copy_from_slice(&(data.len() as u32).to_be_bytes());
    file[16..20].copy_from_slice(&load.to_be_bytes());
    file[20..24].copy_from_slice(&entry.to_be_bytes());
    file[28..32].copy_from_slice(&kind);
    seal(&mut file, data);
    file.extend(data);
    file
}

pub(crate) fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn tree_image(address: u32, blocks: u32, entry: u32, data: &[u8]) -> Vec<u8> {
    let fields = [tree_image::MAGIC, address, blocks, 0, entry, 0, 0, 0];
    [fields.iter().flat_map(|field| field.to_be_bytes()).collect::<Vec<_>>(), data.to_vec()].concat()
}

const LINUX_KERNEL_GZIP: [u8; 4] = [5, 7, 2, 1];
const LINUX_KERNEL: [u8; 4] = [5, 7, 2, 0];

fn good(file: &[u8]) -> Kernel {
    recognise(file, "k", None, RAM).unwrap()
}
fn bad(file: &[u8]) -> String {
    recognise(file, "k", None, RAM).unwrap_err().0
}

#[test]
fn a_vmlinux_is_entered_at_the_physical_address_of_its_entry() {
    let kernel = good(&vmlinux());
    assert_eq!((kernel.format, kernel.protocol, kernel.entry), ("ELF", Protocol::Tree, 4));
    let segment = Segment { address: 0, bytes: vec![1, 2, 3, 4, 5, 6, 7, 8], size: 0x1000 };
    assert_eq!(kernel.segments, [segment]);
}

#[test]
fn an_elf_file_for_another_cpu_is_named_so() {
    let mut file = vmlinux();
    file[4] = 2;
    file[5] = 1;
    file[18..20].copy_from_slice(&[62, 0]);
    assert_eq!(bad(&file), "Kernel k is built for x86-64 (ELF machine 62); the Bamboo needs 32-bit PowerPC");
    let mut file = vmlinux();
    file[19] = 21;
    assert!(bad(&file).contains("64-bit PowerPC"));
    let mut file = vmlinux();
    file[17] = 1;
    assert_eq!(bad(&file), "Kernel k is an ELF file of type 1 and no executable");
    let mut file = vmlinux();
    file[4] = 2;
    assert!(bad(&file).contains("not a 32-bit big-endian"));
}

#[test]
fn damaged_elf_files_are_refused() {
    let file = vmlinux();
    assert!(bad(&file[..40]).contains("truncated"));
    assert!(bad(&file[..60]).contains("program headers lie beyond"));
    assert!(bad(&file[..90]).contains("segment at 0x54 lies beyond"));
    let with = |header: Header| bad(&elf(0, &[header], &[0; 64]));
    assert!(with([2, 0, 0, 0, 0, 0]).contains("nothing to load"));
    assert!(with([1, 84, 0, 0, 8, 4]).contains("8 bytes in the file but 4 in memory"));
    assert!(with([1, u32::MAX, 0, 0, 8, 8]).contains("lies beyond"));
    assert!(with([1, 84, 0x1000, 0, 8, 8]).contains("entry point 0x0 in none"));
    assert!(with([1, 84, 0, 0xFFFF_FFFC, 8, 8]).contains("needs RAM from 0xfffffffc"));
    assert!(with([1, 84, 0, 0, 8, u32::MAX]).contains("the machine has 128 MB"));
    let many = elf(0, &[[1, 0, 0, 0, 50, 50]; 200], &[]);
    assert!(recognise(&many, "k", None, RAM).is_ok(), "many small segments are only odd");
    let huge = elf(0, &[[1, 0, 0, 0, 6000, 6000]; 200], &[]);
    assert!(bad(&huge).contains("overlap in the file"), "the same bytes two hundred times");
}

#[test]
fn a_uimage_is_unpacked_and_entered_as_linux_is() {
    let kernel = good(&uimage(LINUX_KERNEL_GZIP, 0, 0, &gzip(&[0x60; 5000])));
    assert_eq!((kernel.format, kernel.protocol, kernel.entry), ("uImage", Protocol::Tree, 0));
    assert_eq!(kernel.segments[0].bytes, [0x60; 5000]);
    assert!(kernel.beyond >= 1 << 20, "room for a BSS that the file does not tell of");
}

#[test]
fn a_uimage_linked_above_zero_is_a_boot_wrapper() {
    let kernel = good(&uimage(LINUX_KERNEL, 0x60_0000, 0x60_0010, &[0; 64]));
    assert_eq!((kernel.format, kernel.protocol, kernel.entry), ("cuImage", Protocol::BoardInfo, 0x60_0010));
}

#[test]
fn damaged_and_foreign_uimages_are_refused_with_the_reason() {
    let file = uimage(LINUX_KERNEL, 0, 0, &[0; 64]);
    assert!(bad(&file[..63]).contains("truncated: it ends in the uImage header"));
    assert_eq!(bad(&file[..100]), "Kernel k is truncated: its header tells of 64 bytes, 36 are there");
    let mut flipped = file.clone();
    flipped[40] ^= 1;
    assert!(bad(&flipped).contains("damaged uImage header"));
    let mut flipped = file;
    flipped[100] ^= 1;
    assert_eq!(bad(&flipped), "Kernel k is damaged: the checksum of its data is wrong");
    let kind = |kind| bad(&uimage(kind, 0, 0, &[0; 64]));
    assert!(kind([5, 2, 2, 0]).contains("built for Arm (uImage architecture 2)"));
    assert!(kind([17, 7, 2, 0]).contains("operating system 17"));
    assert!(kind([5, 7, 3, 0]).contains("type 3 (RAM disk) and no kernel"));
    assert!(kind([5, 7, 2, 3]).contains("compressed with method 3"));
    assert!(kind(LINUX_KERNEL_GZIP).contains("cannot be unpacked"));
    assert!(bad(&uimage(LINUX_KERNEL, 0x1000, 0, &[0; 64])).contains("entry point 0x0 outside"));
    assert!(bad(&uimage(LINUX_KERNEL, 0, 64, &[0; 64])).contains("entry point 0x40 outside"));
    assert!(
        bad(&uimage(LINUX_KERNEL, 0xFFFF_F000, 0xFFFF_F000, &[0; 64])).contains("needs RAM from 0xfffff000")
    );
}

#[test]
fn a_payload_that_unpacks_to_more_than_ram_is_stopped() {
    let bomb = uimage(LINUX_KERNEL_GZIP, 0, 0, &gzip(&vec![0; 9 << 20]));
    let error = recognise(&bomb, "k", None, 8 << 20).unwrap_err().0;
    assert_eq!(error, "Kernel k unpacks to more than the 8 MB of RAM; give more with --memory");
}

#[test]
fn a_tree_image_needs_128_megabytes() {
    let file = tree_image(0x60_0000, 2, 0x60_01EC, &[0; 1024]);
    let kernel = good(&file);
    assert_eq!((kernel.format, kernel.protocol, kernel.entry), ("treeImage", Protocol::Bare, 0x60_01EC));
    let error = recognise(&file, "k", None, 64 << 20).unwrap_err().0;
    assert!(error.contains("takes 128 MB of RAM for granted; the machine has 64 MB"));
    assert!(bad(&file[..20]).contains("truncated"));
    assert!(
        bad(&tree_image(0x60_0000, 500, 0x60_0000, &[0; 1024]))
            .contains("truncated: its header tells of 256000")
    );
    assert!(bad(&tree_image(0x60_0000, 2, 0x50_0000, &[0; 1024])).contains("entry point 0x500000 outside"));
}

#[test]
fn a_raw_image_needs_an_address_and_known_formats_do_not_take_it() {
    let raw = recognise(&[0x48, 0, 0, 0], "k", Some(0x10_0000), RAM).unwrap();
    assert_eq!((raw.format, raw.entry, raw.segments[0].address), ("raw image", 0x10_0000, 0x10_0000));
    assert_eq!(recognise(&vmlinux(), "k", Some(0x10_0000), RAM).unwrap().entry, 4);
    assert!(bad(&[0x48, 0, 0, 0]).ends_with("a raw image needs --load-address"));
    let refuse = |load| recognise(&[0; 8], "k", Some(load), RAM).unwrap_err().0;
    assert!(refuse(2).contains("a multiple of 4"));
    assert!(refuse(RAM - 4).contains("needs RAM"));
    assert!(refuse(u64::MAX - 3).contains("needs RAM"));
}

#[test]
fn files_that_are_something_else_are_named() {
    let starts = [
        (b"".as_slice(), "is empty"),
        (b"\x1f\x8b\x08", "unpack it first"),
        (b"\xd0\x0d\xfe\xed", "--dtb"),
        (b"070701", "--initrd"),
        (b"MZ", "EFI or DOS"),
    ];
    for (file, reason) in starts {
        assert!(bad(file).contains(reason), "{}", bad(file));
    }
}

#[test]
fn a_ram_disk_is_taken_out_of_its_header() {
    let disk = uimage([5, 7, 3, 1], 0, 0, b"disk");
    assert_eq!(initrd(&disk, "i").unwrap(), b"disk");
    assert_eq!(initrd(b"070701", "i").unwrap(), b"070701");
    let error = initrd(&uimage(LINUX_KERNEL, 0, 0, b"x"), "i").unwrap_err().0;
    assert_eq!(error, "Initrd i is a uImage of type 2 (kernel) and no RAM disk");
    assert!(initrd(b"", "i").is_err());
}

#[test]
fn the_tree_in_a_wrapper_is_found_and_may_grow_into_the_padding() {
    let blob = crate::tree::bamboo().to_blob().unwrap();
    let mut payload = vec![1; 8192];
    payload[4..8].copy_from_slice(&[0xD0, 0x0D, 0xFE, 0xED]);
    payload.extend(&blob);
    let end = payload.len();
    payload.resize(end.next_multiple_of(4096), 0);
    let boundary = payload.len();
    payload.extend([0; 4096]);
    let (at, tree) = embedded_tree(&payload).unwrap();
    assert_eq!((at, tree), (8192, crate::tree::bamboo()), "the magic number alone is no tree");
    assert_eq!(tree_room(&payload, at), boundary - at);
    payload[end + 3] = 1;
    assert_eq!(tree_room(&payload, at), end + 3 - at, "only zeros are padding");
    assert_eq!(embedded_tree(&payload[..4096]), None);
}

proptest! {
    #[test]
    fn no_bytes_behind_a_magic_number_cause_a_panic(
        magic in prop_oneof![
            Just(b"\x7fELF\x01\x02\x01".to_vec()),
            Just(uimage::MAGIC.to_be_bytes().to_vec()),
            Just(tree_image::MAGIC.to_be_bytes().to_vec()),
        ],
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let file = [magic, bytes].concat();
        let _ = recognise(&file, "k", None, RAM);
        let _ = initrd(&file, "i");
    }

    #[test]
    fn no_damage_to_a_good_image_causes_a_panic_or_a_segment_outside_of_ram(
        which in 0..4_usize,
        hits in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..5),
        reseal: bool,
    ) {
        let mut file = match which {
            0 => vmlinux(),
            1 => uimage(LINUX_KERNEL_GZIP, 0, 0, &gzip(&[1; 600])),
            2 => uimage(LINUX_KERNEL, 0x60_0000, 0x60_0000, &[1; 100]),
            _ => tree_image(0x60_0000, 1, 0x60_0000, &[0; 512]),
        };
        for (at, byte) in hits {
            let at = usize::from(at) % file.len();
            file[at] = byte;
        }
        // A hostile file has the right checksums.
        if reseal && (1..=2).contains(&which) {
            let (header, data) = file.split_at_mut(64);
            seal(header, data);
        }
        if let Ok(kernel) = recognise(&file, "k", None, RAM) {
            prop_assert!(kernel.segments.iter().all(|s| s.address + s.size <= RAM && s.size >= s.bytes.len() as u64));
            prop_assert!(kernel.entry < RAM && kernel.entry % 4 == 0);
        }
    }
}
