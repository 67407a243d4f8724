//! What an evaluation may use: steps, depth, bytes and outputs, counted at every growth.

use super::error::Stop;

/// The limits of a [`Budget`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Operations; long texts and large containers count as several.
    pub steps: u64,
    /// Nested operations. The default is safe for a stack of 2 MiB, also without optimisation.
    pub depth: u64,
    /// Bytes allocated in all, not bytes alive.
    pub bytes: u64,
    /// Values gathered in all, for example into arrays.
    pub outputs: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { steps: 1_000_000, depth: Limits::DEPTH_MAX, bytes: 16 * 1024 * 1024, outputs: 100_000 }
    }
}

impl Limits {
    /// The deepest nesting that any budget allows: larger wishes are cut to this, so that no stack overflows.
    pub const DEPTH_MAX: u64 = 200;
}

/// What an evaluation may still use. One budget may serve several evaluations.
#[derive(Debug)]
pub struct Budget {
    limits: Limits,
    steps: u64,
    bytes: u64,
    outputs: u64,
    depth: u64,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget::new(Limits::default())
    }
}

impl Budget {
    /// A fresh budget.
    pub fn new(limits: Limits) -> Budget {
        let limits = Limits { depth: limits.depth.min(Limits::DEPTH_MAX), ..limits };
        Budget { limits, steps: 0, bytes: 0, outputs: 0, depth: 0 }
    }

    /// Steps used so far.
    pub fn steps_used(&self) -> u64 {
        self.steps
    }

    /// Bytes allocated so far. What was refused was counted and never allocated.
    pub fn bytes_used(&self) -> u64 {
        self.bytes.min(self.limits.bytes)
    }

    #[inline]
    pub(super) fn step(&mut self, count: usize) -> Result<(), Stop> {
        self.steps = self.steps.saturating_add(count as u64);
        if self.steps > self.limits.steps {
            return Err(Stop::Budget { name: "steps", limit: self.limits.steps });
        }
        Ok(())
    }

    /// Counts memory before it is allocated, and the time it takes to fill it.
    #[inline]
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), Stop> {
        self.bytes = self.bytes.saturating_add(bytes as u64);
        if self.bytes > self.limits.bytes {
            return Err(Stop::Budget { name: "bytes", limit: self.limits.bytes });
        }
        self.step(bytes / 256)
    }

    #[inline]
    pub(super) fn output(&mut self) -> Result<(), Stop> {
        self.outputs += 1;
        if self.outputs > self.limits.outputs {
            return Err(Stop::Budget { name: "outputs", limit: self.limits.outputs });
        }
        Ok(())
    }

    #[inline]
    pub(super) fn enter(&mut self) -> Result<(), Stop> {
        self.step(1)?;
        if self.depth >= self.limits.depth {
            return Err(Stop::Budget { name: "depth", limit: self.limits.depth });
        }
        self.depth += 1;
        Ok(())
    }

    /// How deep the evaluation is, to come back to after an error.
    pub(super) fn mark(&self) -> u64 {
        self.depth
    }

    pub(super) fn reset(&mut self, depth: u64) {
        self.depth = depth;
    }

    #[inline]
    pub(super) fn leave(&mut self) {
        self.depth -= 1;
    }
}
