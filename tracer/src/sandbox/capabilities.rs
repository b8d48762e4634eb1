//! Gives up capabilities (capabilities(7)).

use rustix::{
    io::{Errno, Result},
    thread::{
        CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
        remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
    },
};

/// Gives up those of this thread that are not in `kept`. No program that it becomes has them again,
/// whoever owns the program's file.
pub(super) fn drop_all_but(kept: CapabilitySet) -> Result<()> {
    clear_ambient_capability_set()?;
    for capability in CapabilitySet::all().difference(kept).iter() {
        match remove_capability_from_bounding_set(capability) {
            // Without CAP_SETPCAP; no_new_privs does without. Or the kernel does not know it.
            Ok(()) | Err(Errno::PERM | Errno::INVAL) => {}
            Err(error) => return Err(error),
        }
    }
    let kept = kept & capabilities(None)?.permitted;
    let inheritable = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: kept, permitted: kept, inheritable })?;
    set_no_new_privs(true)
}
