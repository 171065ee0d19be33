//! What variables and attributes hold.

use crate::graph::{Id, Params};
use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

#[derive(Clone)]
pub(super) enum Value {
    None,
    Number(f64),
    Text(String),
    Tuple(Vec<Value>),
    /// Numbers that are no parameter yet: their sizes, and how they start.
    Array(Vec<u64>, String),
    Param(Rc<RefCell<Param>>),
    Object(Rc<Object>),
    Iter(Rc<RefCell<VecDeque<f64>>>),
    Dict(Rc<RefCell<HashMap<String, Value>>>),
    Tensor(Id),
    /// A tensor to be multiplied along its first or second axis: the tensor, the index.
    Spread(Id, String),
}

impl Value {
    pub(super) fn param(shape: Vec<u64>, start: String) -> Self {
        Value::Param(Rc::new(RefCell::new(Param {
            key: String::new(),
            shape,
            start,
        })))
    }
}

/// A parameter or a buffer.
pub(super) struct Param {
    pub(super) key: String,
    pub(super) shape: Vec<u64>,
    start: String,
}

pub(super) struct Object {
    pub(super) class: String,
    /// Attributes and parts in the order in which they were made.
    children: RefCell<Vec<(String, Value)>>,
}

impl Object {
    pub(super) fn new(class: &str) -> Self {
        Object {
            class: class.to_owned(),
            children: RefCell::default(),
        }
    }

    pub(super) fn child(&self, name: &str) -> Value {
        let children = self.children.borrow();
        let found = children.iter().find(|(child, _)| child == name);
        found
            .map(|(_, value)| value.clone())
            .unwrap_or_else(|| panic!("`{}` has no `{name}`", self.class))
    }

    pub(super) fn set(&self, name: String, value: Value) {
        let mut children = self.children.borrow_mut();
        let known = children.iter().any(|(child, _)| *child == name);
        assert!(!known, "`{}` has a `{name}` already", self.class);
        children.push((name, value));
    }

    /// The parts, without parameters, with their names.
    pub(super) fn parts(&self) -> Vec<(String, Value)> {
        let mut parts = self.children.borrow().clone();
        parts.retain(|(_, value)| matches!(value, Value::Object(_)));
        parts
    }
}

/// Gives parameters their keys, as `state_dict` does.
pub(super) fn name(key: &str, value: &Value, params: &mut Params) {
    match value {
        Value::Param(param) => {
            let mut param = param.borrow_mut();
            assert_eq!(param.key, "", "an alias: {key}");
            param.key = key.to_owned();
            let old = params.insert(key.to_owned(), (param.shape.clone(), param.start.clone()));
            assert!(old.is_none(), "two tensors `{key}`");
        }
        Value::Object(object) => {
            for (child, value) in &*object.children.borrow() {
                let dot = if key.is_empty() { "" } else { "." };
                name(&format!("{key}{dot}{child}"), value, params);
            }
        }
        _ => {}
    }
}
