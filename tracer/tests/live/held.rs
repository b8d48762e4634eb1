//! A thread of the tracer that does not go on, while the others do.

use std::fs;

use rustix::process::Pid;

use crate::tracer::wait_for;

/// A thread that stands still, as one that waits for ever; others of its process go on.
pub(crate) struct Held(libc::pid_t);

impl Held {
    /// Holds the thread of that name.
    pub(crate) fn hold(process: Pid, name: &str) -> Self {
        // A thread gives itself its name, some time after it has begun.
        let thread = wait_for("a thread of that name", || find(process, name));
        let held = Self(thread);
        held.ask(libc::PTRACE_SEIZE);
        held.ask(libc::PTRACE_INTERRUPT);
        // SAFETY: where it would write how the thread has stopped, it is told not to.
        #[expect(unsafe_code, reason = "rustix waits for processes only")]
        let stopped = unsafe { libc::waitpid(thread, std::ptr::null_mut(), libc::__WALL) };
        assert_eq!(stopped, thread);
        held
    }

    fn ask(&self, request: libc::c_uint) {
        const NONE: usize = 0;
        // SAFETY: these requests read and write no memory.
        #[expect(unsafe_code, reason = "no library that we use offers it")]
        let done = unsafe { libc::ptrace(request, self.0, NONE, NONE) };
        assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.ask(libc::PTRACE_DETACH);
    }
}

/// The thread of that name, if it is there.
fn find(process: Pid, name: &str) -> Option<libc::pid_t> {
    let mut threads = fs::read_dir(format!("/proc/{process}/task")).expect("it runs");
    threads.find_map(|thread| {
        let thread = thread.ok()?.path();
        let found = fs::read_to_string(thread.join("comm")).ok()?;
        (found.trim_end() == name).then(|| thread.file_name()?.to_str()?.parse().ok())?
    })
}
