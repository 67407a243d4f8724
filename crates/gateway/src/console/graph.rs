//! A definition as a picture: tasks as boxes in the order of the flow, nested lists as frames, jumps as curves.

use std::collections::BTreeMap;

use maud::{Markup, html};

use app::view::{ExecutionView, GraphNode};

/// Nesting that is drawn; what is deeper is counted.
const DEPTH_MAX: usize = 8;
/// Boxes that are drawn.
const BOXES_MAX: usize = 300;
/// Width of a plain box.
const WIDTH: i32 = 236;
/// Height of a plain box.
const HEIGHT: i32 = 46;
/// Space between boxes, for the arrow.
const GAP: i32 = 22;
/// Space inside a frame.
const PAD: i32 = 12;
/// Height of a frame's title.
const TITLE: i32 = 30;
/// Space at the right for jumps.
const MARGIN: i32 = 112;
/// Space at the left edge.
const LEFT: i32 = 8;

/// The state of each task by its pointer, in the words of [`state_of`].
pub type States = BTreeMap<String, &'static str>;

struct Box {
    pointer: String,
    name: String,
    kind: String,
    label: String,
    frame: bool,
    x: i32,
    y: i32,
    width: i32,
    height: i32,
}

#[derive(Default)]
struct Drawing {
    boxes: Vec<Box>,
    arrows: Vec<(i32, i32, i32)>,
    jumps: Vec<(String, String, String)>,
    hidden: usize,
}

/// Draws a definition; `states` colours it with one execution's progress.
pub fn draw(nodes: &[GraphNode], states: &States) -> Markup {
    let mut drawing = Drawing::default();
    let mut y = 6;
    let width = drawing.list(nodes, LEFT, &mut y, 0);
    let jumping = !drawing.jumps.is_empty();
    let total = width + 2 * LEFT + if jumping { MARGIN } else { 0 };
    html! {
        @if nodes.is_empty() { p.faint { "no tasks" } } @else {
            svg.graph viewBox={ "0 0 " (total) " " (y + 6) } width=(total) height=(y + 6) role="img" aria-label="Tasks of the definition" {
                @for b in &drawing.boxes { (draw_box(b, states.get(&b.pointer).copied().unwrap_or("idle"))) }
                @for (x, from, to) in &drawing.arrows { path.arrow d={ "M" (x) " " (from) "V" (to) "m-4 -5 4 5 4 -5" } {} }
                @for (i, jump) in drawing.jumps.iter().enumerate() { (drawing.draw_jump(jump, i, width + LEFT)) }
            }
            @if drawing.hidden > 0 { p.faint { (drawing.hidden) " more tasks are not drawn" } }
        }
    }
}

/// The state of every task of an execution; effects in trouble colour the task that asked for them.
pub fn state_of(view: &ExecutionView) -> States {
    let mut states = States::new();
    for task in &view.tasks {
        let state = match task.status.as_str() {
            "completed" => "done",
            "running" if task.kind == "wait" => "waiting",
            "running" => "running",
            "faulted" => "faulted",
            "skipped" | "cancelled" => "skipped",
            _ => "idle",
        };
        states.insert(task.pointer.clone(), state);
    }
    for effect in &view.effects {
        let state = match effect.state.as_str() {
            "awaiting-approval" | "held" => "waiting",
            "parked" | "denied" => "faulted",
            _ => continue,
        };
        if states.get(&effect.task).is_none_or(|known| *known == "running") {
            states.insert(effect.task.clone(), state);
        }
    }
    states
}

impl Drawing {
    /// Places a list from `y` on; answers the width that it took.
    fn list(&mut self, nodes: &[GraphNode], x: i32, y: &mut i32, depth: usize) -> i32 {
        let width = widest(nodes, depth);
        for (i, node) in nodes.iter().enumerate() {
            if self.boxes.len() >= BOXES_MAX {
                self.hidden += nodes.len() - i;
                break;
            }
            if i > 0 {
                self.arrows.push((x + width / 2, *y, *y + GAP));
                *y += GAP;
            }
            self.node(node, x, y, width, depth);
        }
        width
    }

    fn node(&mut self, node: &GraphNode, x: i32, y: &mut i32, width: i32, depth: usize) {
        let frame = !node.children.is_empty() && depth < DEPTH_MAX;
        let at = self.boxes.len();
        self.boxes.push(Box {
            pointer: node.pointer.clone(),
            name: node.name.clone(),
            kind: node.kind.clone(),
            label: node.label.clone(),
            frame,
            x,
            y: *y,
            width,
            height: HEIGHT,
        });
        let jumps =
            node.next.iter().take(12).map(|(to, label)| (node.pointer.clone(), to.clone(), label.clone()));
        self.jumps.extend(jumps);
        let top = *y;
        if frame {
            *y += TITLE;
            self.list(&node.children, x + PAD, y, depth + 1);
            *y += PAD;
            self.boxes[at].height = *y - top;
        } else {
            *y += HEIGHT;
        }
    }

    fn draw_jump(&self, (from, to, label): &(String, String, String), i: usize, right: i32) -> Markup {
        let Some(start) = self.boxes.iter().find(|b| b.pointer == *from) else { return html! {} };
        // Several jumps of one task leave it at different heights.
        let nth = self.jumps.iter().take(i).filter(|(other, _, _)| other == from).count();
        let y = start.y + 10 + i32::try_from(nth.min(8)).unwrap_or(0) * 13;
        let x = start.x + start.width;
        match self.boxes.iter().find(|b| b.pointer == *to) {
            Some(end) => {
                let (end_x, end_y) = (end.x + end.width, end.y + end.height / 2 + 6);
                let bend = right + 34 + i32::try_from(i % 4).unwrap_or(0) * 14;
                html! {
                    path.jump d={ "M" (x) " " (y) "C" (bend) " " (y) " " (bend) " " (end_y) " " (end_x + 3) " " (end_y) "m5 -4 -5 4 5 4" } {}
                    @if !label.is_empty() { text.jump-label x=(right + 20) y=(y + 1) { (clip(label, 14)) title { (label) } } }
                }
            }
            None => html! {
                path.jump d={ "M" (x) " " (y) "h14m-5 -4 5 4 -5 4" } {}
                text.jump-label x=(x + 18) y=(y + 4) { (clip(if label.is_empty() { to } else { label }, 14)) title { (label) " → " (to) } }
            },
        }
    }
}

fn draw_box(b: &Box, state: &str) -> Markup {
    let text = usize::try_from(b.width / 8).unwrap_or(20);
    html! {
        g class={ "node " (state) @if b.frame { " is-frame" } } {
            title { (b.kind) " " (b.name) @if state != "idle" { " — " (state) } }
            rect.body x=(b.x) y=(b.y) width=(b.width) height=(b.height) rx="6" {}
            rect.edge x=(b.x) y=(b.y) width="4" height=(b.height) rx="2" {}
            text.node-name x=(b.x + 14) y=(b.y + 19) { (clip(&b.name, text.saturating_sub(6))) }
            text.node-kind x=(b.x + b.width - 10) y=(b.y + 19) text-anchor="end" { (b.kind) }
            @if !b.frame { text.node-label x=(b.x + 14) y=(b.y + 36) { (clip(&b.label, text + 4)) } }
        }
    }
}

fn widest(nodes: &[GraphNode], depth: usize) -> i32 {
    nodes
        .iter()
        .map(|node| {
            if node.children.is_empty() || depth >= DEPTH_MAX {
                WIDTH
            } else {
                widest(&node.children, depth + 1) + 2 * PAD
            }
        })
        .max()
        .unwrap_or(WIDTH)
}

fn clip(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(pointer: &str, children: Vec<GraphNode>) -> GraphNode {
        GraphNode {
            pointer: pointer.into(),
            name: "</text><script>".into(),
            kind: "do".into(),
            label: "\"><b>".into(),
            children,
            next: vec![("end".into(), "<i>".into())],
        }
    }

    #[test]
    fn names_stay_text_and_depth_ends() {
        let mut deep = node("/0", vec![]);
        for i in 1..40 {
            deep = node(&format!("/{i}"), vec![deep]);
        }
        let picture = draw(&[deep], &States::new()).into_string();
        assert!(
            !picture.contains("<script>") && !picture.contains("<b>") && !picture.contains("<i>"),
            "{picture}"
        );
        assert_eq!(picture.matches("class=\"node ").count(), DEPTH_MAX + 1);
    }

    #[test]
    fn large_definitions_are_cut() {
        let nodes: Vec<GraphNode> = (0..400).map(|i| node(&format!("/{i}"), vec![])).collect();
        let picture = draw(&nodes, &States::new()).into_string();
        assert!(picture.contains("100 more tasks are not drawn"));
    }
}
