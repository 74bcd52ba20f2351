"""What the checkers share: the files of the tree, C without its comments and strings, and problems.

Imported by layers, sizes and style.
"""
import argparse
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
C_ENDINGS = ('.c', '.h', '.def')


class Tree:
    """A source tree under git, and the problems found in it so far."""

    def __init__(self, root, only):
        self.root = root
        self.only = [os.path.normpath(p) for p in only]
        self.problems = 0

    def files(self, endings=''):
        """Tracked and new files, sorted, relative to the root; ignored ones are not ours."""
        out = subprocess.run(
            ['git', '-C', self.root, 'ls-files', '-z', '-co', '--exclude-standard'],
            check=True, stdout=subprocess.PIPE).stdout.decode()
        return sorted({f for f in out.split('\0') if f.endswith(endings) and self._wanted(f)
                       and os.path.isfile(os.path.join(self.root, f))})

    def _wanted(self, path):
        return not self.only or any(path == p or p == '.' or path.startswith(p + '/')
                                    for p in self.only)

    def read(self, path):
        with open(os.path.join(self.root, path), encoding='utf-8', errors='replace') as f:
            return f.read()

    def problem(self, path, line, text):
        print(f'{path}:{line}: {text}')
        self.problems += 1


def open_tree(what):
    """The tree and its limits from the command line: [--root DIR] [PATH...]."""
    args = argparse.ArgumentParser(description=what)
    args.add_argument('--root', default=HERE, help='tree to check (default: this one)')
    args.add_argument('path', nargs='*', help='check only these files and folders')
    got = args.parse_args()
    return Tree(os.path.abspath(got.root), got.path)


def finish(tree):
    sys.exit(1 if tree.problems else 0)


TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


def blank_c(text, keep_comments=False):
    """C text with strings (and comments) emptied; lines and columns stay where they are."""
    def empty(m):
        t = m.group(0)
        if t.startswith('/'):
            return t if keep_comments else re.sub(r'[^\n]', ' ', t)
        return t[0] + ' ' * (len(t) - 2) + t[-1]
    return TOKEN.sub(empty, text)


def functions(text):
    """(name, first line, last line) of every function body in C formatted by .clang-format: its
    braces stand alone in column 1."""
    lines = blank_c(text).split('\n')
    start = None
    for no, line in enumerate(lines, 1):
        if line == '{':
            start = no
            while start > 1 and re.match(r'\s*[^\s#}]', lines[start - 2]) \
                    and not lines[start - 2].rstrip().endswith(';'):
                start -= 1
        elif start and line == '}':
            head = ' '.join(lines[start - 1:no]).split('{')[0]
            head = re.sub(r'__attribute__\(\(.*?\)\)\)?', '', head)
            name = re.search(r'(\w+)\s*\(', head)
            yield (name.group(1) if name else '?', start, no)
            start = None
