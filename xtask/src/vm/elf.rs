//! What ELF files say that they need: the bytes of a file come in, names of libraries or of kernel
//! modules go out.

use anyhow::{Context as _, Result};
use object::{
    Endianness,
    elf::{DT_NEEDED, FileHeader64},
    read::elf::{FileHeader as _, ProgramHeader as _, SectionHeader as _},
};

type Header = FileHeader64<Endianness>;

/// What a program or a library needs to run.
pub(crate) struct Needs {
    /// The dynamic linker, by its path; libraries have none.
    pub(crate) interpreter: Option<String>,
    /// Shared libraries, by their names.
    pub(crate) libraries: Vec<String>,
}

/// Of a program or a library. One that is linked statically needs nothing.
pub(crate) fn needs(file: &[u8]) -> Result<Needs> {
    let header = Header::parse(file)?;
    let endian = header.endian()?;
    let mut interpreter = None;
    for segment in header.program_headers(endian, file)? {
        if let Some(path) = segment.interpreter(endian, file)? {
            interpreter = Some(String::from_utf8_lossy(path).into_owned());
        }
    }
    let sections = header.sections(endian, file)?;
    let table = sections.dynamic_table(endian, file)?;
    let mut libraries = Vec::new();
    for entry in table.iter().filter(|entry| entry.tag == DT_NEEDED) {
        libraries.push(String::from_utf8_lossy(table.string(entry)?).into_owned());
    }
    Ok(Needs { interpreter, libraries })
}

/// The names of the modules that a module says it depends on, `depends=a,b` in its section
/// `.modinfo`.
pub(super) fn module_dependencies(module: &[u8]) -> Result<Vec<String>> {
    let header = Header::parse(module)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, module)?;
    let (_, section) =
        sections.section_by_name(endian, b".modinfo").context("it is no kernel module")?;
    let fields = section.data(endian, module)?.split(|byte| *byte == 0);
    let depends = fields.filter_map(|field| field.strip_prefix(b"depends="));
    let names = depends.flat_map(|names| names.split(|byte| *byte == b','));
    let names = names.filter(|name| !name.is_empty());
    Ok(names.map(|name| String::from_utf8_lossy(name).replace('-', "_")).collect())
}

/// A kernel module with nothing in it but what it depends on.
#[cfg(test)]
pub(super) fn module(depends: &str) -> Vec<u8> {
    let modinfo = format!("license=GPL\0depends={depends}\0name=x\0");
    let names = b"\0.modinfo\0.shstrtab\0";
    let contents = [modinfo.as_bytes(), names].concat();
    let sections = 64 + contents.len().next_multiple_of(8);
    // An ELF header: 64 bits, little-endian, relocatable, x86-64; 3 sections, names in the last.
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x01\0\x3e\0\x01\0\0\0".to_vec();
    file.resize(40, 0);
    file.extend((sections as u64).to_le_bytes());
    for half in [0, 0, 64, 0, 0, 64, 3, 2_u16] {
        file.extend(half.to_le_bytes());
    }
    file.extend(contents);
    file.resize(sections + 64, 0);
    for (name, kind, at, len) in
        [(1, 1, 64, modinfo.len()), (10, 3, 64 + modinfo.len(), names.len())]
    {
        let words = [u64::from(name as u32) | kind << 32, 0, 0, at as u64, len as u64, 0, 1, 0];
        words.iter().for_each(|word| file.extend(word.to_le_bytes()));
    }
    file
}

#[cfg(test)]
mod tests {
    use std::{env, fs};

    use super::*;

    #[test]
    fn a_module_says_what_it_depends_on() {
        let needs = |depends| module_dependencies(&module(depends)).expect("it is a module");
        assert_eq!(needs("stp,802-1q"), ["stp", "802_1q"]);
        assert_eq!(needs(""), [""; 0]);
    }

    #[test]
    fn a_program_needs_the_dynamic_linker_and_the_c_library() {
        let us = env::current_exe().expect("we have a path");
        let needs = needs(&fs::read(us).expect("we can be read")).expect("we are a program");
        let interpreter = needs.interpreter.expect("we are linked dynamically");
        assert!(interpreter.starts_with('/') && interpreter.contains("/ld-"), "{interpreter}");
        assert!(needs.libraries.iter().any(|name| name == "libc.so.6"), "{:?}", needs.libraries);
    }

    #[test]
    fn what_is_no_program_is_refused() {
        assert!(needs(b"#!/bin/sh\n").is_err());
        let us = env::current_exe().expect("we have a path");
        let error = module_dependencies(&fs::read(us).expect("we can be read"));
        assert_eq!(error.expect_err("no module").to_string(), "it is no kernel module");
    }
}
