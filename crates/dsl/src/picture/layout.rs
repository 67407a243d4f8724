//! Places boxes and lines. Lists go down, parts of a task stand side by side, jumps run in lanes at the right.

use super::outline::{Item, Jump, Outline, Part, Role, To};

/// Width of a plain box.
pub(super) const WIDTH: i32 = 232;
/// Height of a plain box.
const HEIGHT: i32 = 46;
/// More for a line about the condition.
const LINE: i32 = 16;
/// Space between two boxes, for the arrow.
const GAP: i32 = 26;
/// Space inside a frame.
const PAD: i32 = 14;
/// Height of the title of a frame.
const TITLE: i32 = 44;
/// Height of the title of a part.
const SUBTITLE: i32 = 20;
/// Space between parts that stand side by side.
const BESIDE: i32 = 26;
/// Space for the words of a jump.
const WORDS: i32 = 150;
/// Space between two lanes.
const LANE: i32 = 14;
/// Space around everything.
pub(super) const EDGE: i32 = 16;
/// Height of the marks at the beginning and at the end.
const MARK: i32 = 18;

/// Everything with its place.
pub(super) struct Layout {
    pub width: i32,
    pub height: i32,
    pub shapes: Vec<Shape>,
}

/// What is drawn, frames before what stands in them.
pub(super) enum Shape {
    /// A task.
    Task { at: Rect, name: String, kind: &'static str, label: String, condition: Option<String>, frame: bool },
    /// A list inside a task.
    Part { at: Rect, title: String, caught: bool },
    /// The flow goes on.
    Arrow { points: Vec<(i32, i32)>, class: &'static str },
    /// Words beside a jump, in so many pixels.
    Words { x: i32, y: i32, text: String },
    /// `exit` and `end` behind a jump.
    Out { x: i32, y: i32, word: String },
    /// Where the flow begins and ends.
    Mark { x: i32, y: i32, last: bool },
}

/// A rectangle.
#[derive(Clone, Copy)]
pub(super) struct Rect {
    pub x: i32,
    pub y: i32,
    pub width: i32,
    pub height: i32,
}

#[derive(Clone, Copy)]
struct Size {
    width: i32,
    height: i32,
}

/// Places an outline.
pub(super) fn lay(outline: &Outline) -> Layout {
    let size = list_size(&outline.tasks);
    let mut layout = Layout { width: size.width + 2 * EDGE, height: 0, shapes: Vec::new() };
    let axis = EDGE + boxes_width(&outline.tasks) / 2;
    let top = EDGE + MARK;
    layout.shapes.push(Shape::Mark { x: axis, y: EDGE + MARK / 2, last: false });
    layout.arrow(vec![(axis, top), (axis, top + GAP)], "arrow");
    layout.list(&outline.tasks, EDGE, top + GAP);
    let bottom = top + GAP + size.height;
    if outline.tasks.last().is_some_and(|task| task.goes_on) {
        layout.arrow(vec![(axis, bottom), (axis, bottom + GAP)], "arrow");
    }
    layout.shapes.push(Shape::Mark { x: axis, y: bottom + GAP + MARK / 2, last: true });
    layout.height = bottom + GAP + MARK + EDGE;
    layout
}

/// The width of the boxes of a list, without the lanes at its right.
fn boxes_width(tasks: &[Item]) -> i32 {
    tasks.iter().map(|task| item_size(task).width).max().unwrap_or(WIDTH)
}

fn list_size(tasks: &[Item]) -> Size {
    // Each size once: asking twice on every level would double with every level.
    let sizes: Vec<Size> = tasks.iter().map(item_size).collect();
    let height: i32 = sizes.iter().map(|size| size.height).sum();
    let boxes = sizes.iter().map(|size| size.width).max().unwrap_or(WIDTH);
    let gaps = GAP * i32::try_from(tasks.len().saturating_sub(1)).unwrap_or(0);
    Size { width: boxes + lanes_width(tasks), height: height + gaps }
}

fn lanes_width(tasks: &[Item]) -> i32 {
    if tasks.iter().all(|task| task.jumps.is_empty()) {
        return 0;
    }
    let lanes = lanes(tasks).iter().map(|(_, _, lane)| lane + 1).max().unwrap_or(0);
    WORDS + LANE * lanes
}

fn item_size(task: &Item) -> Size {
    let condition = if task.condition.is_some() { LINE } else { 0 };
    // Every jump leaves at a height of its own.
    let jumps = 20 * i32::try_from(task.jumps.len()).unwrap_or(0) + 8;
    if task.parts.is_empty() {
        return Size { width: WIDTH, height: (HEIGHT + condition).max(jumps) };
    }
    let parts: Vec<Size> = task.parts.iter().map(part_size).collect();
    let between = BESIDE * i32::try_from(parts.len().saturating_sub(1)).unwrap_or(0);
    let width: i32 = parts.iter().map(|part| part.width).sum::<i32>() + between + 2 * PAD;
    let height = parts.iter().map(|part| part.height).max().unwrap_or(0) + TITLE + condition + PAD;
    Size { width: width.max(WIDTH), height: height.max(jumps) }
}

fn part_size(part: &Part) -> Size {
    let inner = list_size(&part.tasks);
    let (sides, title) = frame_of(part);
    Size { width: inner.width + 2 * sides, height: inner.height + title + if title > 0 { PAD } else { 0 } }
}

/// Space at the sides and above the tasks of a part; a loop has its way back at the left.
fn frame_of(part: &Part) -> (i32, i32) {
    match part.role {
        Role::Body | Role::Branch => (0, 0),
        Role::Loop => (PAD + 8, if part.title.is_empty() { 0 } else { SUBTITLE }),
        Role::Catch => (PAD, SUBTITLE + 8),
    }
}

/// Jumps inside a list: which task, which of its jumps, in which lane. Lanes are shared by jumps that do not meet.
fn lanes(tasks: &[Item]) -> Vec<(usize, usize, i32)> {
    let mut spans: Vec<(usize, usize, usize, usize)> = Vec::new();
    for (from, task) in tasks.iter().enumerate() {
        for (nth, jump) in task.jumps.iter().enumerate() {
            if let To::Task(to) = jump.to {
                spans.push((from.min(to), from.max(to), from, nth));
            }
        }
    }
    // Short ones inside, long ones outside.
    spans.sort_by_key(|(low, high, from, nth)| (high - low, *low, *from, *nth));
    let mut taken: Vec<Vec<(usize, usize)>> = Vec::new();
    let mut found = Vec::new();
    for (low, high, from, nth) in spans {
        let free = |lane: &Vec<(usize, usize)>| lane.iter().all(|(l, h)| high < *l || low > *h);
        let lane = taken.iter().position(free).unwrap_or_else(|| {
            taken.push(Vec::new());
            taken.len() - 1
        });
        taken[lane].push((low, high));
        found.push((from, nth, i32::try_from(lane).unwrap_or(0)));
    }
    found
}

impl Layout {
    /// Places a list with its left edge at `x`; the boxes are centred on one axis.
    fn list(&mut self, tasks: &[Item], x: i32, y: i32) {
        let boxes = boxes_width(tasks);
        let mut places = Vec::new();
        let mut top = y;
        for task in tasks {
            let size = item_size(task);
            let at = Rect { x: x + (boxes - size.width) / 2, y: top, width: size.width, height: size.height };
            self.item(task, at);
            places.push(at);
            top += size.height + GAP;
        }
        let axis = x + boxes / 2;
        for (task, pair) in tasks.iter().zip(places.windows(2)) {
            if task.goes_on {
                self.arrow(vec![(axis, pair[0].y + pair[0].height), (axis, pair[1].y)], "arrow");
            }
        }
        self.jumps(tasks, &places, x + boxes);
    }

    fn jumps(&mut self, tasks: &[Item], places: &[Rect], right: i32) {
        let lanes = lanes(tasks);
        for (position, (task, from)) in tasks.iter().zip(places).enumerate() {
            for (nth, jump) in task.jumps.iter().enumerate() {
                let y = from.y + 14 + 20 * i32::try_from(nth).unwrap_or(0);
                let start = (from.x + from.width, y);
                let lane = lanes
                    .iter()
                    .find(|(f, n, _)| (*f, *n) == (position, nth))
                    .map_or(0, |(_, _, lane)| *lane);
                self.jump(jump, start, right + WORDS + LANE * lane, right, places);
            }
        }
    }

    fn jump(&mut self, jump: &Jump, (x, y): (i32, i32), lane: i32, right: i32, places: &[Rect]) {
        if !jump.label.is_empty() {
            self.shapes.push(Shape::Words { x: x + 8, y: y - 4, text: jump.label.clone() });
        }
        let target = match &jump.to {
            To::Task(position) => places.get(*position).copied(),
            To::Out(_) | To::Lost(_) => None,
        };
        match (target, &jump.to) {
            (Some(target), _) => {
                // Between what leaves the target, which begins at 14 and goes on by 20.
                let end = target.y + 24;
                self.arrow(vec![(x, y), (lane, y), (lane, end), (target.x + target.width, end)], "jump");
            }
            (None, To::Out(word)) => self.out(x, y, right, word),
            (None, To::Lost(name)) => self.out(x, y, right, &format!("{name}?")),
            (None, To::Task(_)) => {}
        }
    }

    fn out(&mut self, x: i32, y: i32, right: i32, word: &str) {
        let end = right + WORDS - 34;
        self.arrow(vec![(x, y), (end, y)], "jump");
        self.shapes.push(Shape::Out { x: end + 3, y, word: word.to_owned() });
    }

    fn item(&mut self, task: &Item, at: Rect) {
        self.shapes.push(Shape::Task {
            at,
            name: task.name.clone(),
            kind: task.kind,
            label: task.label.clone(),
            condition: task.condition.clone(),
            frame: !task.parts.is_empty(),
        });
        let sizes: Vec<Size> = task.parts.iter().map(part_size).collect();
        let between = BESIDE * i32::try_from(sizes.len().saturating_sub(1)).unwrap_or(0);
        let all: i32 = sizes.iter().map(|size| size.width).sum::<i32>() + between;
        let mut x = at.x + (at.width - all) / 2;
        let y = at.y + TITLE + if task.condition.is_some() { LINE } else { 0 };
        let mut body_right = None;
        for (part, size) in task.parts.iter().zip(&sizes) {
            self.part(part, Rect { x, y, width: size.width, height: size.height }, body_right);
            body_right = Some(x + size.width);
            x += size.width + BESIDE;
        }
    }

    fn part(&mut self, part: &Part, at: Rect, before: Option<i32>) {
        let (sides, title) = frame_of(part);
        let inner = Rect { x: at.x + sides, y: at.y + title, ..at };
        match part.role {
            Role::Body | Role::Branch => {}
            Role::Catch => {
                self.shapes.push(Shape::Part { at, title: part.title.clone(), caught: true });
                if let Some(before) = before {
                    let y = at.y + title + 20;
                    self.arrow(vec![(before, y), (at.x, y)], "arrow caught");
                }
            }
            Role::Loop => {
                if !part.title.is_empty() {
                    self.shapes.push(Shape::Part { at, title: part.title.clone(), caught: false });
                }
                self.back(part, inner, at.x);
            }
        }
        self.list(&part.tasks, inner.x, inner.y);
    }

    /// The way from the end of a loop to its beginning, at the left.
    fn back(&mut self, part: &Part, inner: Rect, left: i32) {
        let (Some(first), Some(last)) = (part.tasks.first(), part.tasks.last()) else { return };
        let size = list_size(&part.tasks);
        let boxes = boxes_width(&part.tasks);
        let edge = |task: &Item| inner.x + (boxes - item_size(task).width) / 2;
        let end = inner.y + size.height - 14;
        let start = inner.y + 14.min(item_size(first).height / 2);
        let lane = left + 4;
        // A single task leads back to itself all the same.
        let end = if end <= start { start + 14 } else { end };
        self.arrow(vec![(edge(last), end), (lane, end), (lane, start), (edge(first), start)], "arrow back");
    }

    fn arrow(&mut self, points: Vec<(i32, i32)>, class: &'static str) {
        self.shapes.push(Shape::Arrow { points, class });
    }
}
