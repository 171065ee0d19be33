; Words of the grammar. A test compares them with `words.json`.
[
  "net" "block" "stage" "use" "share" "let"
] @keyword

[
  "input" "output" "keep" "set" "exit" "from" "residual" "shortcut" "path" "repeat" "up" "to" "each" "when" "else" "seq"
] @keyword.control

[
  "isomorphic" "blocks" "kernel" "bias" "in" "except" "every" "into" "groups" "at" "of" "network" "with" "norms"
  "private" "transposed" "as" "signal"
] @keyword.modifier

["and" "or" "not" "x"] @keyword.operator
["==" "!=" "<=" ">=" "<" ">" "+" "-" "*" "/" "%" "=" ".."] @operator
["(" ")" "[" "]" "{" "}"] @punctuation.bracket
["," ";" ":" "."] @punctuation.delimiter

(line_comment) @comment
((line_comment) @comment.documentation (#match? @comment.documentation "^///"))
(block_comment) @comment
(file) @string
(int) @number
(float) @number.float
(compact) @number
(true) @boolean
(false) @boolean

(net name: (identifier) @type)
(instance_of base: (identifier) @type)
(block name: (identifier) @function)
(stage name: (identifier) @module)
(call name: (identifier) @function.call)
(function name: (identifier) @function.call)
(named name: (identifier) @function.builtin)
(isomorphic kind: (identifier) @type)
(label name: (identifier) @label)
(segment (identifier) @label)
(pattern) @label
(private_visit) @constant.builtin
(param name: (identifier) @variable.parameter)
(arg name: (identifier) @variable.parameter)
(let name: (identifier) @constant)
(name (identifier) @variable)
