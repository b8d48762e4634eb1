//! Attaches the classifier to interfaces and detaches it again.

use std::{collections::BTreeMap, fmt, io, process};

use ::tracing::warn;
use anyhow::{Context as _, Result, anyhow};
use aya::programs::{
    LinkOrder, ProgramError, SchedClassifier, TcAttachType,
    tc::{NlOptions, SchedClassifierLinkId, TcAttachOptions, TcError, TcHandle, qdisc_add_clsact},
};

use super::{
    interface::{Interface, LinkLayer, current_name},
    place::Place,
    program::Classifier,
};
use crate::cli::Attach;

/// The last priority tried for a filter; administrators begin at 1 and count up.
const MAX_PRIORITY: u16 = 16;
/// The hooks of an interface.
const BOTH: [TcAttachType; 2] = [TcAttachType::Ingress, TcAttachType::Egress];
/// File exists.
const EEXIST: i32 = 17;

/// The two ways of attaching to an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// A BPF link, which dies with the process (kernel commit e420bed02507, Linux 6.6).
    Tcx,
    /// A filter on a clsact qdisc, which outlives the process.
    Clsact,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcx => "TCX",
            Self::Clsact => "clsact",
        })
    }
}

/// One interface that the classifier is attached to.
struct Attached {
    name: String,
    layer: LinkLayer,
    links: Vec<SchedClassifierLinkId>,
    hooks: &'static [TcAttachType],
    /// The qdisc was added for it.
    owns_qdisc: bool,
    /// Where the classifier was seen last.
    place: Place,
}

/// Every interface that the classifier is attached to.
pub struct Attachments {
    method: Option<Method>,
    interfaces: BTreeMap<u32, Attached>,
    /// Interfaces that a qdisc was added to, and then the filter was refused, or detached.
    orphaned_qdiscs: Vec<u32>,
    /// How often others have taken the classifier away, by interface.
    taken_away: BTreeMap<u32, u32>,
}

/// What became of an interface.
#[derive(Debug, PartialEq, Eq)]
pub enum Attachment {
    /// The classifier is attached now.
    New,
    /// It had been already.
    Known,
    /// The classifier cannot parse what is on it.
    Unsupported,
}

impl Attachments {
    /// Nothing attached yet.
    pub fn new(wanted: Attach) -> Self {
        let method = match wanted {
            Attach::Auto => None,
            Attach::Tcx => Some(Method::Tcx),
            Attach::Clsact => Some(Method::Clsact),
        };
        Self {
            method,
            interfaces: BTreeMap::new(),
            orphaned_qdiscs: Vec::new(),
            taken_away: BTreeMap::new(),
        }
    }

    /// How the classifier is attached; `None` until it first was.
    pub fn method(&self) -> Option<Method> {
        self.method
    }

    /// The interfaces' names.
    pub fn names(&self) -> Vec<String> {
        self.interfaces.values().map(|attached| attached.name.clone()).collect()
    }

    /// Takes note of the name of an interface; the one it had, if that was another.
    pub fn rename(&mut self, index: u32, name: &str) -> Option<String> {
        let known = self.interfaces.get_mut(&index).filter(|known| known.name != name)?;
        Some(std::mem::replace(&mut known.name, name.to_owned()))
    }

    /// The interfaces' numbers and names.
    pub fn interfaces(&self) -> Vec<(u32, String)> {
        self.interfaces.iter().map(|(index, attached)| (*index, attached.name.clone())).collect()
    }

    /// Where the classifier is to be at an interface: its name, its kind, the hooks.
    pub fn place(&self, index: u32) -> Option<(String, LinkLayer, &'static [TcAttachType])> {
        let Attached { name, layer, hooks, .. } = self.interfaces.get(&index)?;
        Some((name.clone(), *layer, hooks))
    }

    /// Says so when others have come before the classifier.
    pub fn note_place(&mut self, index: u32, place: Place) {
        let Some(attached) = self.interfaces.get_mut(&index) else { return };
        if attached.place == place {
            return;
        }
        if let Place::Behind(other) = &place {
            let name = &attached.name;
            warn!(
                "{other} comes before the tracer on {name}: packets that it accepts, drops or redirects are not seen"
            );
        }
        attached.place = place;
    }

    /// Counts how often others have taken the classifier away from an interface.
    pub fn taken_away(&mut self, index: u32) -> u32 {
        let times = self.taken_away.entry(index).or_default();
        *times += 1;
        *times
    }

    /// Attaches to an interface, unless it is already.
    pub fn attach(
        &mut self,
        classifier: &mut Classifier,
        interface: &Interface,
    ) -> Result<Attachment> {
        let Some(layer) = interface.layer else { return Ok(Attachment::Unsupported) };
        if self.interfaces.contains_key(&interface.index) {
            return Ok(Attachment::Known);
        }
        let program = classifier.program(layer)?;
        let mut attached = Attached {
            name: interface.name.clone(),
            layer,
            links: Vec::new(),
            // Loopback shows every packet twice: once is enough.
            hooks: if interface.is_loopback { &BOTH[1..] } else { &BOTH },
            owns_qdisc: false,
            place: Place::First,
        };
        let result = self
            .attach_hooks(program, interface, &mut attached)
            .map_err(anyhow::Error::from)
            .and_then(|()| still_has_its_name(interface));
        if result.is_err() {
            detach(program, attached.links);
            if attached.owns_qdisc {
                self.orphaned_qdiscs.push(interface.index);
            }
        } else {
            self.interfaces.insert(interface.index, attached);
        }
        result.with_context(|| format!("cannot attach to {}", interface.name))?;
        Ok(Attachment::New)
    }

    fn attach_hooks(
        &mut self,
        program: &mut SchedClassifier,
        interface: &Interface,
        attached: &mut Attached,
    ) -> Result<(), ProgramError> {
        for &hook in attached.hooks {
            let link = match self.method {
                Some(Method::Tcx) => attach_tcx(program, &interface.name, hook)?,
                Some(Method::Clsact) => attach_clsact(program, &interface.name, hook, attached)?,
                None => match attach_tcx(program, &interface.name, hook) {
                    Ok(link) => {
                        self.method = Some(Method::Tcx);
                        link
                    }
                    // Before Linux 6.6 the kernel does not know the attach type.
                    Err(error) if is_invalid(&error) => {
                        self.method = Some(Method::Clsact);
                        attach_clsact(program, &interface.name, hook, attached)?
                    }
                    Err(error) => return Err(error),
                },
            };
            attached.links.push(link);
        }
        Ok(())
    }

    /// Forgets an interface that is gone; the kernel has detached already.
    pub fn forget(&mut self, classifier: &mut Classifier, index: u32) -> Option<String> {
        let attached = self.interfaces.remove(&index)?;
        if let Ok(program) = classifier.program(attached.layer) {
            detach(program, attached.links);
        }
        Some(attached.name)
    }

    /// Attaches once more where others have taken the classifier away.
    pub fn attach_again(
        &mut self,
        classifier: &mut Classifier,
        interface: &Interface,
    ) -> Result<Attachment> {
        let Some(before) = self.interfaces.remove(&interface.index) else {
            return self.attach(classifier, interface);
        };
        let is_half_there = detach(classifier.program(before.layer)?, before.links);
        // The qdisc is the one that was added only if something of ours was left on it.
        let owns_qdisc = before.owns_qdisc && is_half_there;
        let result = self.attach(classifier, interface);
        match self.interfaces.get_mut(&interface.index) {
            Some(attached) => attached.owns_qdisc |= owns_qdisc,
            None if owns_qdisc => self.orphaned_qdiscs.push(interface.index),
            None => {}
        }
        result
    }

    /// Detaches from an interface.
    pub fn detach(&mut self, classifier: &mut Classifier, index: u32) {
        let owns_qdisc = self.interfaces.get(&index).is_some_and(|attached| attached.owns_qdisc);
        if self.forget(classifier, index).is_some() && owns_qdisc {
            self.orphaned_qdiscs.push(index);
        }
    }

    /// Detaches from every interface.
    pub fn detach_all(&mut self, classifier: &mut Classifier) {
        for (index, _) in self.interfaces() {
            self.detach(classifier, index);
        }
    }

    /// The interfaces on which a clsact qdisc was added that nothing of ours is on any more.
    pub fn take_orphaned_qdiscs(&mut self) -> Vec<u32> {
        let Self { interfaces, orphaned_qdiscs, .. } = self;
        orphaned_qdiscs.extract_if(.., |index| !interfaces.contains_key(index)).collect()
    }
}

/// Attaching is by name, and another interface may have had it by then. The news of that are on their
/// way, and bring both back.
fn still_has_its_name(interface: &Interface) -> Result<()> {
    match current_name(interface.index) {
        Ok(name) if name == interface.name => Ok(()),
        Ok(name) => Err(anyhow!("it is called {name} by now")),
        Err(error) => Err(error.into()),
    }
}

/// Detaching fails when the interface is gone, and then there is nothing left to detach. Whether
/// anything was.
fn detach(program: &mut SchedClassifier, links: Vec<SchedClassifierLinkId>) -> bool {
    let detached = links.into_iter().filter_map(|link| program.detach(link).ok());
    detached.count() > 0
}

/// Before all other programs: one that accepts or drops a packet ends the chain.
fn attach_tcx(
    program: &mut SchedClassifier,
    interface: &str,
    hook: TcAttachType,
) -> Result<SchedClassifierLinkId, ProgramError> {
    program.attach_with_options(interface, hook, TcAttachOptions::TcxOrder(LinkOrder::first()))
}

/// Before all other filters, for the same reason.
fn attach_clsact(
    program: &mut SchedClassifier,
    interface: &str,
    hook: TcAttachType,
    attached: &mut Attached,
) -> Result<SchedClassifierLinkId, ProgramError> {
    match qdisc_add_clsact(interface) {
        Ok(()) => attached.owns_qdisc = true,
        Err(error) if is_present(&error) => {}
        Err(error) => return Err(error.into()),
    }
    let mut result = attach_filter(program, interface, hook, 1);
    // A priority belongs to one kind of filter and one protocol; where it is taken, the next one.
    for priority in 2..=MAX_PRIORITY {
        if result.is_ok() {
            break;
        }
        result = attach_filter(program, interface, hook, priority);
    }
    result
}

fn attach_filter(
    program: &mut SchedClassifier,
    interface: &str,
    hook: TcAttachType,
    priority: u16,
) -> Result<SchedClassifierLinkId, ProgramError> {
    // The handle says whose filter it is, for the sweep after a SIGKILL.
    let handle = TcHandle::from(process::id());
    let options = NlOptions { priority, handle, classid: None };
    program.attach_with_options(interface, hook, TcAttachOptions::Netlink(options))
}

fn is_present(error: &TcError) -> bool {
    match error {
        TcError::AlreadyAttached => true,
        TcError::NetlinkError(error) => error.raw_os_error() == Some(EEXIST),
        _ => false,
    }
}

fn is_invalid(error: &ProgramError) -> bool {
    let ProgramError::SyscallError(error) = error else { return false };
    error.io_error.kind() == io::ErrorKind::InvalidInput
}
