//! Sequences that grow: what a pass over the next positions knows of those before.
//!
//! A pass that has a [`Past`] runs on some positions of one sequence, the next ones. What acts position by position needs
//! nothing of it. What depends on the place of a position asks for [`Past::position`], and causal attention adds its keys
//! and values to those of its *slot* ([`Past::with_all`]). Each visit of an attention has a slot of its own, however many
//! visits share their kernels, because keys and values are made of activations, which differ from visit to visit.

use crate::exec::Exec;
use crate::real::Real;
use crate::size::RowSize;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::rc::Rc;

/// What is kept of all positions so far, with room for more: keys and values, or the inputs of a convolution.
struct Slot<B> {
    kept: Vec<B>,
    /// Values of a position in each of them.
    width: usize,
}

/// What a table is of: a name and numbers.
type TableKey = (&'static str, [u64; 2]);

/// A table that the visits of a pass share.
struct Table<B> {
    position: usize,
    tokens: usize,
    values: Rc<B>,
}

/// The keys and values of one sequence.
pub struct Past<B> {
    room: usize,
    position: Cell<usize>,
    slot: Cell<usize>,
    slots: RefCell<Vec<Option<Slot<B>>>>,
    tables: RefCell<HashMap<TableKey, Table<B>>>,
}

impl<B> fmt::Debug for Past<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { room, position, .. } = self;
        write!(f, "Past({} of {room} positions)", position.get())
    }
}

impl<B> Past<B> {
    /// That of a sequence of no positions, which may grow to `room`, with so many slots. A slot takes memory once it is
    /// visited.
    pub fn new(room: usize, slots: usize) -> Self {
        Self {
            room,
            position: Cell::new(0),
            slot: Cell::new(0),
            slots: RefCell::new((0..slots).map(|_| None).collect()),
            tables: RefCell::default(),
        }
    }

    /// The place of the first position of the pass.
    pub fn position(&self) -> usize {
        self.position.get()
    }

    /// Positions that the sequence may have.
    pub fn room(&self) -> usize {
        self.room
    }

    /// The sequence has this many positions: fewer than before drop the last ones, more are those of a pass that is done.
    pub fn set_position(&self, position: usize) {
        self.position.set(position.min(self.room));
    }

    /// The attention that runs next is the visit with this slot.
    pub fn visit(&self, slot: usize) {
        self.slot.set(slot);
    }

    /// Adds the keys and values of the positions of the pass to those of the visited slot, and calls `f` with all of them:
    /// buffers with at least as many rows as there are positions now.
    ///
    /// # Errors
    /// If the executor fails.
    ///
    /// # Panics
    /// If there is no such slot, or the positions have no room.
    pub fn with_all<E: Real, X: Exec<E, Buf = B>, R, const N: usize>(
        &self,
        exec: &X,
        size: RowSize,
        new: [&B; N],
        f: impl FnOnce([&B; N]) -> Result<R, X::Err>,
    ) -> Result<R, X::Err> {
        let at = self.slot.get();
        assert!(
            self.position() + size.rows <= self.room,
            "positions beyond the room of a past"
        );
        let held = self.slots.borrow_mut()[at].take();
        let mut slot = match held {
            Some(slot) => slot,
            None => self.slot_of(exec, size.channels, N)?,
        };
        let result = self.write(exec, size, new, &mut slot).and_then(|()| {
            let kept: Vec<&B> = slot.kept.iter().collect();
            let Ok(kept) = kept.try_into() else {
                unreachable!("a slot is that of one visit")
            };
            f(kept)
        });
        self.slots.borrow_mut()[at] = Some(slot);
        result
    }

    fn slot_of<E: Real, X: Exec<E, Buf = B>>(&self, exec: &X, width: usize, kinds: usize) -> Result<Slot<B>, X::Err> {
        let kept = (0..kinds).map(|_| exec.zeroed(self.room * width));
        let kept = kept.collect::<Result<_, _>>()?;
        Ok(Slot { kept, width })
    }

    fn write<E: Real, X: Exec<E, Buf = B>, const N: usize>(
        &self,
        exec: &X,
        size: RowSize,
        new: [&B; N],
        slot: &mut Slot<B>,
    ) -> Result<(), X::Err> {
        let mut pairs = new.into_iter().zip(&mut slot.kept);
        pairs.try_for_each(|(new, kept)| exec.write_rows(size, new, self.position(), kept))
    }

    /// Keeps the positions of the pass in the visited slot and gives them after as many of those before, up to `before`: the
    /// rows, and how many are from before. What a causal convolution needs.
    ///
    /// # Errors
    /// If the executor fails.
    pub fn with_recent<E: Real, X: Exec<E, Buf = B>>(
        &self,
        exec: &X,
        size: RowSize,
        new: &B,
        before: usize,
    ) -> Result<(B, usize), X::Err> {
        let taken = before.min(self.position());
        let rows = RowSize {
            rows: taken + size.rows,
            ..size
        };
        let recent = self.with_all(exec, size, [new], |[all]| {
            exec.read_rows(rows, all, self.position() - taken)
        })?;
        Ok((recent, taken))
    }

    /// Gives the positions of the pass, `rows` of them, the keys and values in the slots `to` that they have in `from`:
    /// what later positions see at visits that these did not reach, because a loop ended early.
    ///
    /// # Errors
    /// If the executor fails.
    pub fn repeat<E: Real, X: Exec<E, Buf = B>>(
        &self,
        exec: &X,
        rows: usize,
        from: Range<usize>,
        to: impl Iterator<Item = Range<usize>>,
    ) -> Result<(), X::Err> {
        for to in to {
            for (from, to) in from.clone().zip(to) {
                self.copy(exec, rows, [from, to])?;
            }
        }
        Ok(())
    }

    fn copy<E: Real, X: Exec<E, Buf = B>>(&self, exec: &X, rows: usize, [from, to]: [usize; 2]) -> Result<(), X::Err> {
        let mut slots = self.slots.borrow_mut();
        let Some(source) = &slots[from] else { return Ok(()) };
        let (width, kinds) = (source.width, source.kept.len());
        let size = RowSize { rows, channels: width };
        let read = source
            .kept
            .iter()
            .map(|kept| exec.read_rows(size, kept, self.position()));
        let read: Vec<B> = read.collect::<Result<_, _>>()?;
        let mut target = match slots[to].take() {
            Some(slot) => slot,
            None => self.slot_of(exec, width, kinds)?,
        };
        let mut pairs = read.iter().zip(&mut target.kept);
        let done = pairs.try_for_each(|(rows, kept)| exec.write_rows(size, rows, self.position(), kept));
        slots[to] = Some(target);
        done
    }

    /// A table for the positions of the pass, `tokens` of them, made once and not again at each visit: `key` says of what.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn table<R>(&self, key: TableKey, tokens: usize, make: impl FnOnce(usize) -> Result<B, R>) -> Result<Rc<B>, R> {
        let position = self.position();
        if let Some(table) = self.tables.borrow().get(&key)
            && (table.position, table.tokens) == (position, tokens)
        {
            return Ok(table.values.clone());
        }
        let values = Rc::new(make(position)?);
        let table = Table {
            position,
            tokens,
            values: values.clone(),
        };
        self.tables.borrow_mut().insert(key, table);
        Ok(values)
    }
}
