/**
 * KSDSL for tree-sitter: what editors parse while a text is written. `grammars/ksn.pest` defines the language; a test
 * compares the words of both, and another parses every specification of the repository with this one.
 */

const list = (item) => optional(seq(item, repeat(seq(',', item)), optional(',')));
const some = (item) => seq(item, repeat(seq(',', item)));

module.exports = grammar({
  name: 'ksn',

  word: ($) => $.identifier,

  // Block comments nest, which no regular expression can say.
  externals: ($) => [$.block_comment],

  extras: ($) => [/\s/, $.line_comment, $.block_comment],

  conflicts: ($) => [
    // `share ... when condition`, and a statement `when condition { ... }` behind a clause.
    [$.share],
    [$.visits, $.list],
  ],

  rules: {
    source_file: ($) => repeat(seq(choice($.use, $.net, $.block), repeat(';'))),

    use: ($) => seq('use', $.file),
    file: () => /"[^"\n]+"/,

    net: ($) => seq('net', field('name', $.identifier), choice($.instance_of, seq(optional($.params), $.body))),
    instance_of: ($) => seq('=', field('base', $.identifier), optional($.args)),
    block: ($) => seq('block', field('name', $.identifier), optional($.params), $.body),
    params: ($) => seq('(', list($.param), ')'),
    param: ($) => seq(field('name', $.identifier), optional(seq('=', $._expr))),

    body: ($) => seq('{', repeat(seq($._statement, repeat(';'))), '}'),
    _statement: ($) =>
      choice($.step, $.input, $.output, $.let, $.keep, $.set, $.exit, $.block, $.stage, $.share),

    input: ($) => seq('input', optional($.label), $._dims, optional(choice($.vocabulary, $.as_signal))),
    vocabulary: ($) => seq('of', $._expr),
    as_signal: () => seq('as', 'signal'),
    output: ($) => seq('output', $.identifier),
    let: ($) => seq('let', field('name', $.identifier), '=', $._expr),
    keep: ($) => seq('keep', $.identifier),
    set: ($) => seq('set', $._expr),
    exit: ($) => seq('exit', $.identifier),
    stage: ($) => seq('stage', field('name', $.identifier), $.body),

    step: ($) =>
      prec.right(
        seq(
          optional($.label),
          choice($.each, $.call, $.residual, $.repeat, $.when, $.sequence, $.from),
        ),
      ),
    label: ($) => seq(field('name', $.identifier), ':'),
    residual: ($) => prec.right(seq('residual', optional($.args), $.body, optional($.shortcut))),
    shortcut: ($) => seq('shortcut', $.body),
    paths: ($) => seq('{', repeat(seq($.path, repeat(';'))), '}'),
    path: ($) => seq(optional($.label), 'path', $.body),
    repeat: ($) => seq('repeat', choice($.up_to, $._expr), optional(seq('as', $.identifier)), $.body),
    up_to: ($) => seq('up', 'to', $._expr, repeat(seq(',', $.arg))),
    each: ($) => seq('each', some($._expr), optional(seq('as', some($.identifier))), $.body),
    when: ($) => prec.right(seq('when', $._expr, $.body, optional($.else))),
    else: ($) => seq('else', $.body),
    sequence: ($) => seq('seq', $.body),
    from: ($) => seq('from', $._expr),
    call: ($) => prec.right(seq(field('name', $.identifier), optional($.args), optional($.paths))),

    args: ($) => seq('(', list($.arg), ')'),
    arg: ($) => seq(optional(seq(field('name', $.identifier), '=')), $._dims),

    share: ($) =>
      seq(
        'share',
        optional($.part_of),
        choice($.blocks, $.isomorphic, $._selectors),
        repeat($._share_part),
      ),
    _share_part: ($) =>
      choice(
        $.in_scopes,
        $.except,
        $.every,
        $.into,
        $.at,
        $.with_norms,
        $.with_private,
        $.with_transposed,
        $.share_name,
        $.share_when,
      ),
    part_of: ($) => seq($.part, 'of'),
    part: () => choice('kernel', 'bias'),
    isomorphic: ($) => prec.right(seq('isomorphic', optional(seq(field('kind', $.identifier), optional($.args))))),
    blocks: ($) => prec.right(1, seq('blocks', optional($._selectors))),
    in_scopes: ($) => prec(1, seq('in', optional('each'), $._selectors)),
    except: ($) => seq('except', $._selectors),
    every: ($) => seq('every', $._expr),
    into: ($) => seq('into', choice($.visits, $.groups, $.named)),
    visits: ($) => seq('[', list(choice($.private_visit, $._expr)), ']'),
    private_visit: () => '_',
    groups: ($) => seq($._expr, 'groups'),
    at: ($) => prec.right(seq('at', $.named, optional($.of_network))),
    of_network: () => seq('of', 'network'),
    with_norms: () => seq('with', 'norms'),
    with_private: ($) => prec.right(seq('with', 'private', some($.named))),
    with_transposed: ($) => seq('with', 'transposed', $._selectors),
    share_name: ($) => seq('as', $.identifier),
    share_when: ($) => seq('when', $._expr),
    named: ($) => prec.right(seq(field('name', $.identifier), optional($.args))),

    _selectors: ($) => prec.right(some($.selector)),
    selector: ($) => prec.right(seq($.segment, repeat(choice(seq('.', $.segment), $.index)))),
    segment: ($) =>
      choice($.identifier, $.pattern, alias(choice('blocks', 'kernel', 'bias', 'each'), $.identifier)),
    pattern: () => token(prec(1, /([A-Za-z_][A-Za-z0-9_]*)?\*[A-Za-z0-9_*]*/)),
    index: ($) => seq('[', choice('*', $.range, $._expr), ']'),
    range: ($) => seq(optional($._expr), '..', optional($._expr)),

    _dims: ($) => choice($.compact, seq($._expr, repeat(seq('x', $._expr)))),
    compact: () => token(prec(2, /[0-9][0-9_]*(x[0-9][0-9_]*)+/)),

    _expr: ($) =>
      choice($.binary, $.unary, $.item_of, $.float, $.int, $.true, $.false, $.function, $.name, $.list, $.parenthesised),
    parenthesised: ($) => seq('(', $._expr, ')'),
    unary: ($) => prec(6, seq(choice('-', 'not'), $._expr)),
    item_of: ($) => prec(7, seq($._expr, '[', $._expr, ']')),
    binary: ($) =>
      choice(
        ...[
          [1, 'or'],
          [2, 'and'],
          [3, choice('==', '!=', '<=', '>=', '<', '>')],
          [4, choice('+', '-')],
          [5, choice('*', '/', '%')],
        ].map(([level, sign]) => prec.left(level, seq($._expr, sign, $._expr))),
      ),
    function: ($) => prec(8, seq(field('name', $.identifier), $.args)),
    list: ($) => seq('[', list($._expr), ']'),
    name: ($) => $.identifier,
    true: () => 'true',
    false: () => 'false',
    float: () => /[0-9]+(\.[0-9]+([eE][+-]?[0-9]+)?|[eE][+-]?[0-9]+)/,
    int: () => /[0-9][0-9_]*/,

    identifier: () => /[A-Za-z_][A-Za-z0-9_]*/,
    line_comment: () => token(seq('//', /[^\n]*/)),
  },
});
