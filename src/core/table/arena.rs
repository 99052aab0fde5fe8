//! Values with stable numbers.
//!
//! ```text
//! pages:   one header for 4,096 slots: which chunks exist, which have a free slot
//! chunks:  one header for 64 slots: which slots are taken
//! slots:   the values; a chunk without a value is freed wherever it stands
//! ```

/// Slots of a chunk, and chunks of a page: the bits of a word.
const FAN: usize = 64;

/// Slots of a page.
const PAGE: usize = FAN * FAN;

/// Values in numbered slots. The lowest free slot is used first, so that the upper slots become
/// empty.
#[derive(Debug)]
pub(crate) struct Arena<T> {
    pages: Vec<Page<T>>,
    /// No page before this one has a free slot.
    first_with_room: usize,
    len: usize,
}

/// A page exists while one of its chunks does; its headers are freed with the last chunk.
#[derive(Debug)]
struct Page<T> {
    chunks: Option<Box<[Chunk<T>; FAN]>>,
    /// Set of the chunks with a value.
    used: u64,
    /// Set of the chunks without a free slot.
    full: u64,
}

#[derive(Debug)]
struct Chunk<T> {
    slots: Option<Box<[Option<T>; FAN]>>,
    /// Set of the slots with a value.
    taken: u64,
}

impl<T> Default for Arena<T> {
    fn default() -> Self {
        Self {
            pages: Vec::new(),
            first_with_room: 0,
            len: 0,
        }
    }
}

impl<T> Page<T> {
    const EMPTY: Self = Self {
        chunks: None,
        used: 0,
        full: 0,
    };
}

impl<T> Chunk<T> {
    const EMPTY: Self = Self {
        slots: None,
        taken: 0,
    };
}

impl<T> Arena<T> {
    /// Number of values.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// All slots from here on are free.
    pub(crate) fn end(&self) -> u32 {
        let Some(page) = self.pages.last() else {
            return 0;
        };
        let chunk = FAN - 1 - page.used.leading_zeros() as usize;
        let taken = page.chunks.as_ref().map_or(0, |chunks| chunks[chunk].taken);
        let slots = FAN - taken.leading_zeros() as usize;
        ((self.pages.len() - 1) * PAGE + chunk * FAN + slots) as u32
    }

    #[inline]
    pub(crate) fn get(&self, slot: u32) -> Option<&T> {
        let at = At::of(slot);
        let chunks = self.pages.get(at.page)?.chunks.as_ref()?;
        chunks[at.chunk].slots.as_ref()?[at.slot].as_ref()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        let at = At::of(slot);
        let chunks = self.pages.get_mut(at.page)?.chunks.as_mut()?;
        chunks[at.chunk].slots.as_mut()?[at.slot].as_mut()
    }

    /// The slot that the next insert takes.
    pub(crate) fn next_slot(&mut self) -> u32 {
        while self
            .pages
            .get(self.first_with_room)
            .is_some_and(|page| page.full == u64::MAX)
        {
            self.first_with_room += 1;
        }
        let mut at = At {
            page: self.first_with_room,
            chunk: 0,
            slot: 0,
        };
        if let Some(page) = self.pages.get(at.page) {
            at.chunk = page.full.trailing_ones() as usize;
            let chunks = page.chunks.as_ref();
            let taken = chunks.map_or(0, |chunks| chunks[at.chunk].taken);
            at.slot = taken.trailing_ones() as usize;
        }
        at.number()
    }

    pub(crate) fn insert(&mut self, value: T) -> u32 {
        let slot = self.next_slot();
        self.insert_at(slot, value);
        slot
    }

    /// Inserts a value into a free slot. Costs a page's header for each page of free slots before.
    pub(crate) fn insert_at(&mut self, slot: u32, value: T) {
        let at = At::of(slot);
        while at.page >= self.pages.len() {
            self.pages.push(Page::EMPTY);
        }
        let page = &mut self.pages[at.page];
        let chunks = page
            .chunks
            .get_or_insert_with(|| Box::new([const { Chunk::EMPTY }; FAN]));
        let chunk = &mut chunks[at.chunk];
        let slots = chunk
            .slots
            .get_or_insert_with(|| Box::new([const { None }; FAN]));
        debug_assert!(slots[at.slot].is_none());
        slots[at.slot] = Some(value);
        chunk.taken |= 1 << at.slot;
        page.used |= 1 << at.chunk;
        if chunk.taken == u64::MAX {
            page.full |= 1 << at.chunk;
        }
        self.len += 1;
    }

    pub(crate) fn remove(&mut self, slot: u32) -> Option<T> {
        let at = At::of(slot);
        let page = self.pages.get_mut(at.page)?;
        let chunks = page.chunks.as_mut()?;
        let chunk = &mut chunks[at.chunk];
        let value = chunk.slots.as_mut()?[at.slot].take()?;
        chunk.taken &= !(1 << at.slot);
        page.full &= !(1 << at.chunk);
        if chunk.taken == 0 {
            chunk.slots = None;
            page.used &= !(1 << at.chunk);
        }
        if page.used == 0 {
            page.chunks = None;
        }
        self.len -= 1;
        self.first_with_room = self.first_with_room.min(at.page);
        while self.pages.last().is_some_and(|page| page.used == 0) {
            self.pages.pop();
        }
        if self.pages.is_empty() {
            self.pages = Vec::new();
        }
        Some(value)
    }

    /// The first taken slot from `from` on, with its value. Free slots cost one step per 64, and
    /// one per 4,096 if all of those are free.
    pub(crate) fn next_from(&self, from: u32) -> Option<(u32, &T)> {
        let mut at = At::of(from);
        while let Some(page) = self.pages.get(at.page) {
            let used = page.used & u64::MAX << at.chunk;
            if used == 0 {
                at = At::page(at.page + 1);
                continue;
            }
            let chunk = used.trailing_zeros() as usize;
            if chunk > at.chunk {
                (at.chunk, at.slot) = (chunk, 0);
            }
            let chunks = page.chunks.as_ref()?;
            let taken = chunks[chunk].taken & u64::MAX << at.slot;
            if taken != 0 {
                at.slot = taken.trailing_zeros() as usize;
                let value = chunks[chunk].slots.as_ref()?[at.slot].as_ref()?;
                return Some((at.number(), value));
            }
            if at.chunk + 1 < FAN {
                (at.chunk, at.slot) = (at.chunk + 1, 0);
            } else {
                at = At::page(at.page + 1);
            }
        }
        None
    }

    /// All values with their slots, by slot.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        let mut from = 0;
        std::iter::from_fn(move || {
            let (slot, value) = self.next_from(from)?;
            from = slot + 1;
            Some((slot, value))
        })
    }

    #[cfg(test)]
    pub(super) fn pages_capacity(&self) -> usize {
        self.pages.capacity()
    }

    /// Bytes that it has allocated, without those of its values.
    #[cfg(test)]
    pub(crate) fn allocated_bytes(&self) -> usize {
        let pages = self.pages.iter().filter_map(|page| page.chunks.as_ref());
        let chunks = pages.clone().flat_map(|chunks| chunks.iter());
        let slots = chunks.filter(|chunk| chunk.slots.is_some()).count();
        self.pages.capacity() * size_of::<Page<T>>()
            + pages.count() * size_of::<[Chunk<T>; FAN]>()
            + slots * size_of::<[Option<T>; FAN]>()
    }
}

/// A slot's number, split.
#[derive(Clone, Copy)]
struct At {
    page: usize,
    chunk: usize,
    slot: usize,
}

impl At {
    fn of(slot: u32) -> Self {
        let slot = slot as usize;
        Self {
            page: slot / PAGE,
            chunk: slot / FAN % FAN,
            slot: slot % FAN,
        }
    }

    fn page(page: usize) -> Self {
        Self {
            page,
            chunk: 0,
            slot: 0,
        }
    }

    fn number(self) -> u32 {
        u32::try_from(self.page * PAGE + self.chunk * FAN + self.slot)
            .expect("fewer than 2^32 slots fit in memory")
    }
}
