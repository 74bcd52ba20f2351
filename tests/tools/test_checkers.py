#!/usr/bin/python3
"""Tests of tools/style, layers and sizes: each rule is broken once in a small tree and must be named.

Run by meson; needs git, clang-format-14 and codespell, as tools/style does.
"""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

HEAD = '/*\n * A file of the test.\n */\n'
LAYERS = 'lib/low:\nlib/high: lib/low\n'
MESON = '''low_lib = static_library('low', 'low/low.c')
low = declare_dependency(link_with: low_lib)
high_lib = static_library('high', 'high/high.c', dependencies: [low])
high = declare_dependency(link_with: high_lib, dependencies: [low])
'''
GOOD = {
    'layers.txt': LAYERS,
    'lib/meson.build': MESON,
    'lib/low/low.h': '#pragma once\n' + HEAD + 'int low(void);\n',
    'lib/low/low.c': HEAD + '#include "low/low.h"\n\nint low(void)\n{\n\treturn 1;\n}\n',
    'lib/high/high.c': HEAD + '#include "low/low.h"\n\nint high(void)\n{\n\treturn low();\n}\n',
}


class Checkers(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix='hearth-test-style-')
        self.addCleanup(shutil.rmtree, self.dir)
        subprocess.run(['git', 'init', '-q', self.dir], check=True)
        shutil.copy(os.path.join(ROOT, '.clang-format'), self.dir)
        for path, text in GOOD.items():
            self.write(path, text)

    def write(self, path, text):
        path = os.path.join(self.dir, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w', encoding='utf-8') as f:
            f.write(text)

    def run_tool(self, tool):
        p = subprocess.run([os.path.join(ROOT, 'tools', tool), '--root', self.dir],
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return p.returncode, p.stdout.decode()

    def assert_named(self, tool, *expected):
        code, out = self.run_tool(tool)
        for line in expected:
            self.assertIn(line, out)
        self.assertEqual(code, 1, out)

    def body(self, *lines):
        """A function in lib/low/low.c that holds the lines; the first one is line 8."""
        self.write('lib/low/low.c', HEAD + '#include "low/low.h"\n\nint low(void)\n{\n'
                   + ''.join(f'\t{line}\n' for line in lines) + '\treturn 1;\n}\n')

    def test_a_good_tree_passes(self):
        for tool in ('style', 'layers', 'sizes'):
            self.assertEqual(self.run_tool(tool), (0, ''), tool)

    def test_forbidden_calls(self):
        for call in ('strcpy(a, b)', 'strcat(a, b)', 'sprintf(a, b)', 'gets(a)', 'atoi(a)', 'rand()',
                     'strtol(a, b, 10)', 'strtoull(a, b, 10)', 'strtok(a, b)', 'alloca(9)', 'system(a)'):
            self.body(f'{call};')
            self.assert_named('style', f'lib/low/low.c:8: {call.split("(")[0]}() is not used here')

    def test_calls_in_words_and_comments_are_fine(self):
        self.body('/* not strcpy(a, b) */', 'str_copy(a, b);', 'p->rand(1);', 'put("strcat(");')
        self.assertEqual(self.run_tool('style'), (0, ''))

    def test_comments(self):
        self.body('f(); // no', 'g("http://x"); /* fine */')
        self.assert_named('style', 'lib/low/low.c:8: // comment')
        self.assertNotIn('low.c:9', self.run_tool('style')[1])
        self.write('lib/low/low.c', '#include "low/low.h"\n')
        self.assert_named('style', 'lib/low/low.c:1: the first comment')
        self.write('lib/low/low.h', HEAD)
        self.assert_named('style', 'lib/low/low.h:1: a header begins with #pragma once')
        self.write('tool', '#!/bin/sh\necho\n')
        self.assert_named('style', 'tool:1: the first comment')

    def test_open_ends_need_an_issue(self):
        word = 'TO' 'DO'
        self.body(f'/* {word}: later */', f'/* {word}(#12): later */')
        self.assert_named('style', 'lib/low/low.c:8: open end')
        self.assertNotIn('low.c:9', self.run_tool('style')[1])

    def test_form(self):
        self.body('  int   x;')
        self.assert_named('style', 'lib/low/low.c:7: not formatted')
        self.body('/* ' + 'x' * 100 + ' */')
        self.assert_named('style', 'lib/low/low.c:8: 114 columns')
        self.body('#if X', '#endif')
        self.assert_named('style', 'lib/low/low.c:8: #if inside low()')
        self.write('lib/low/low.h', '#pragma once\n' + HEAD + 'typedef struct x x;\n')
        self.assert_named('style', 'lib/low/low.h:5: typedef of a struct')

    def test_format_mends_form(self):
        long = 'word ' * 30 + 'end'
        self.write('lib/low/low.h', '#pragma once\n' + HEAD + f'/* {long}\n * {long} */\n'
                   f'struct x {{\n\tint a; /* {long} */\n  char *b; /* short */\n}};\n'
                   'int low(void);\n')
        self.assert_named('style', 'not formatted', 'columns')
        subprocess.run([os.path.join(ROOT, 'tools', 'format'), '--root', self.dir, 'lib'], check=True)
        self.assertEqual(self.run_tool('style'), (0, ''))
        with open(os.path.join(self.dir, 'lib/low/low.h'), encoding='utf-8') as f:
            words = f.read().split()
        self.assertEqual(words.count('word'), 90)  # nothing is lost
        self.assertEqual(words.count('end'), 3)

    def test_spelling(self):
        self.body('/* te' 'h end */')
        self.assert_named('style', 'lib/low/low.c:8:')

    def test_sizes(self):
        self.body(*['f();'] * 76)  # with signature, braces and return: 80
        self.assertEqual(self.run_tool('sizes'), (0, ''))
        self.body(*['f();'] * 77)
        self.assert_named('sizes', 'lib/low/low.c:6: low: 81 lines')
        self.write('lib/low/low.c', HEAD + 'int x;\n' * 798)
        self.assert_named('sizes', 'lib/low/low.c:801: 801 lines')

    def test_includes_follow_the_layers(self):
        self.write('lib/high/high.h', '#pragma once\n' + HEAD)
        self.write('lib/low/low.c', HEAD + '#include <stdio.h>\n#include "high/high.h"\n')
        self.assert_named('layers', 'lib/low/low.c:5: lib/low may not include lib/high')
        self.write('lib/low/low.c', HEAD + '#include "low.h"\n')
        self.assert_named('layers', 'lib/low/low.c:4: "low.h": expected "folder/name.h"')
        self.write('lib/low/low.c', HEAD)
        self.write('lib/high/high.c', HEAD + '#include "low/low_internal.h"\n')
        self.assert_named('layers', '"low/low_internal.h" is for lib/low alone')

    def test_the_list_itself(self):
        self.write('layers.txt', 'lib/high: lib/low\nlib/low:\n')
        self.assert_named('layers', 'layers.txt:1: lib/high may only use folders above it')
        self.write('layers.txt', LAYERS + 'lib/low:\nlib/gone:\n')
        self.assert_named('layers', 'layers.txt:3: lib/low is listed twice',
                          'layers.txt:4: lib/gone: no such folder')
        self.write('layers.txt', LAYERS)
        self.write('lib/new/new.c', HEAD)
        self.assert_named('layers', 'lib/new/new.c:1: lib/new is not listed')

    def test_meson_links_exactly_the_layers(self):
        self.write('lib/meson.build', MESON.replace('dependencies: [low]', 'dependencies: []'))
        self.assert_named('layers', 'lib/meson.build:3: lib/high is not linked with lib/low')
        self.write('layers.txt', 'lib/low:\nlib/high:\n')
        self.write('lib/high/high.c', HEAD)
        self.write('lib/meson.build', MESON)
        self.assert_named('layers', 'lib/meson.build:3: lib/high is linked with lib/low, which')
        self.write('lib/meson.build', MESON.split('high_lib')[0])
        self.assert_named('layers', 'lib/high has C files but no static_library')


if __name__ == '__main__':
    sys.dont_write_bytecode = True
    unittest.main()
