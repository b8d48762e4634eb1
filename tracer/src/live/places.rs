//! Looks after the classifier's places: says what hides packets from it, and attaches it again where
//! others have taken it away.

use ::tracing::warn;
use anyhow::{Result, bail};

use super::Tracing;
use crate::capture::live::{
    attach::{Attachment, Method},
    interface::Interface,
    place::{self, Place},
};

/// So often it is attached again to an interface: whoever goes on taking it away means it.
const PATIENCE: u32 = 10;

impl Tracing {
    /// Takes the classifier away from interfaces of which it would see one side only. An error where
    /// the interface was named.
    pub(super) async fn check(&mut self, are_named: bool) -> Result<()> {
        for (index, name) in self.attachments.interfaces() {
            if self.place(index).await? != Some(Place::OneSided) {
                continue;
            }
            self.attachments.forget(&mut self.classifier, index);
            let why = format!(
                "cannot trace {name}: filters cannot see what it sends, because it has an ingress \
                 qdisc in the place of a clsact qdisc; remove it (`tc qdisc del dev {name} ingress`), \
                 or use Linux 6.6 or later without `--attach clsact`"
            );
            if are_named {
                bail!(why);
            }
            warn!("{why}");
        }
        Ok(())
    }

    /// Looks at every place, and does what can be done.
    pub(super) async fn look_after(&mut self) {
        for (index, name) in self.attachments.interfaces() {
            match self.place(index).await {
                Ok(Some(Place::Gone)) => self.attach_again(index, &name).await,
                Ok(Some(place)) => self.attachments.note_place(index, place),
                Ok(None) => {}
                Err(error) => warn!("{name}: {error:#}"),
            }
        }
    }

    /// The last look: what was taken away by now is not attached again.
    pub(super) async fn look_at_the_end(&mut self) {
        for (index, name) in self.attachments.interfaces() {
            if matches!(self.place(index).await, Ok(Some(Place::Gone)))
                && self.present(index).await.is_some()
            {
                self.attachments.forget(&mut self.classifier, index);
                warn!("{}: what passed since was not seen", taken_away(&name));
            }
        }
    }

    async fn place(&mut self, index: u32) -> Result<Option<Place>> {
        let Some((name, layer, hooks)) = self.attachments.place(index) else { return Ok(None) };
        match self.attachments.method() {
            Some(Method::Tcx) => {
                let program = self.classifier.program(layer)?;
                place::among_programs(program, &name, hooks)
            }
            Some(Method::Clsact) => {
                let handle = &self.interfaces.handle;
                place::among_filters(handle, index, hooks).await.map(Some)
            }
            None => Ok(None),
        }
    }

    /// The interface, unless it is itself gone.
    pub(super) async fn present(&self, index: u32) -> Option<Interface> {
        let all = self.interfaces.list().await.ok()?;
        all.into_iter().find(|interface| interface.index == index)
    }

    async fn attach_again(&mut self, index: u32, name: &str) {
        let Some(interface) = self.present(index).await else { return };
        let times = self.attachments.taken_away(index);
        let happened = taken_away(name);
        if times > PATIENCE {
            self.attachments.forget(&mut self.classifier, index);
            warn!("{happened} once more: it is not traced any more");
            return;
        }
        match self.attachments.attach_again(&mut self.classifier, &interface) {
            Ok(Attachment::New) => {
                warn!("{happened}, now it is attached again: what passed in between was not seen");
            }
            Ok(_) => {}
            Err(error) => {
                warn!("{happened}, and {error:#}: it is not traced any more");
            }
        }
    }
}

fn taken_away(name: &str) -> String {
    format!("somebody has removed the classifier from {name}")
}
