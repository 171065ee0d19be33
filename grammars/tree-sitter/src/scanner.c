// Comments between `/*` and `*/`, which nest.

#include "tree_sitter/parser.h"

enum { BLOCK_COMMENT };

void *tree_sitter_ksn_external_scanner_create(void) { return 0; }
void tree_sitter_ksn_external_scanner_destroy(void *payload) { (void)payload; }
unsigned tree_sitter_ksn_external_scanner_serialize(void *payload, char *buffer) {
  (void)payload;
  (void)buffer;
  return 0;
}
void tree_sitter_ksn_external_scanner_deserialize(void *payload, const char *buffer, unsigned length) {
  (void)payload;
  (void)buffer;
  (void)length;
}

static bool is_blank(int32_t letter) { return letter == ' ' || letter == '\t' || letter == '\r' || letter == '\n'; }

bool tree_sitter_ksn_external_scanner_scan(void *payload, TSLexer *lexer, const bool *valid) {
  (void)payload;
  if (!valid[BLOCK_COMMENT]) return false;
  while (is_blank(lexer->lookahead)) lexer->advance(lexer, true);
  if (lexer->lookahead != '/') return false;
  lexer->advance(lexer, false);
  if (lexer->lookahead != '*') return false;
  lexer->advance(lexer, false);
  for (unsigned depth = 1; depth > 0;) {
    if (lexer->eof(lexer)) return false;
    int32_t letter = lexer->lookahead;
    lexer->advance(lexer, false);
    if (letter == '/' && lexer->lookahead == '*') {
      lexer->advance(lexer, false);
      depth++;
    } else if (letter == '*' && lexer->lookahead == '/') {
      lexer->advance(lexer, false);
      depth--;
    }
  }
  lexer->result_symbol = BLOCK_COMMENT;
  return true;
}
