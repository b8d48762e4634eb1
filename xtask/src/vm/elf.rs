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
pub(super) struct Needs {
    /// The dynamic linker, by its path; libraries have none.
    pub(super) interpreter: Option<String>,
    /// Shared libraries, by their names.
    pub(super) libraries: Vec<String>,
}

/// Of a program or a library. One that is linked statically needs nothing.
pub(super) fn needs(file: &[u8]) -> Result<Needs> {
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

#[cfg(test)]
mod tests {
    use std::{env, fs};

    use super::*;

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
