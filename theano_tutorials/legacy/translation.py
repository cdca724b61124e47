"""Source code of Python 2 to code that runs on this Python, line for line.

A file is read as Python 2 first, even if it is valid Python 3: a division of whole
numbers, for instance, looks the same in both. fissix, a kept copy of 2to3, replaces the
syntax that is gone. What depends on the values is replaced on the syntax tree by a call
of a function of :mod:`operations`, which the module finds among its builtins.
"""

import ast
import codecs
import functools
import io
import itertools
import re
import tempfile
from contextlib import suppress
from pathlib import Path

import fissix
from fissix.pgen2 import tokenize
from fissix.pgen2.parse import ParseError

from theano_tutorials.legacy import operations

# Those of syntax alone: they keep the lines as they are, but for tuple_params.
_FIXERS = ("print", "except", "raise", "exec", "repr", "ne", "numliterals", "tuple_params", "paren", "throw")
_TAB = 8
_CODING = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
_OF_PYTHON_3 = (
    ast.AnnAssign,
    ast.AsyncFor,
    ast.AsyncFunctionDef,
    ast.AsyncWith,
    ast.Await,
    ast.MatMult,
    ast.NamedExpr,
    ast.Nonlocal,
    ast.YieldFrom,
)
# What Python 2 calls, and what Python 3 calls in its place.
_METHODS = {"next": "__next__", "__nonzero__": "__bool__", "__div__": "__truediv__", "__idiv__": "__itruediv__"}
_METHODS.update(__rdiv__="__rtruediv__", __unicode__="__str__")
_ORDER = {ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge"}
_EQUALITY = {ast.Eq: "equal", ast.NotEq: "unequal"}
_TYPES = {"basestring", "str", "unicode"}  # "is" cannot see that these are the type of text
_OF_FUNCTIONS = {"func_code": "__code__", "func_defaults": "__defaults__", "func_doc": "__doc__"}
_OF_FUNCTIONS.update(func_globals="__globals__", func_name="__name__", im_func="__func__", im_self="__self__")


class NotPython2(Exception):
    """The source is not Python 2, or not Python 2 alone; ``line`` is where that was seen, or 0."""

    def __init__(self, line=0):
        self.line = line


def code_of(source, path):
    """Compile the source of a module, as Python 2 if it can be read so, else as it is.

    Parameters
    ----------
    source : bytes
    path : str
        Where it is from; tracebacks show it.

    Returns
    -------
    (code, bool)
        And whether it is Python 2.

    Raises
    ------
    SyntaxError
        If it is neither Python 2 nor what this Python reads.
    """
    try:
        tree = _tree_of_python_2(_decoded(source), path)
    except NotPython2 as refusal:
        try:
            return compile(source, path, "exec", dont_inherit=True), False
        except SyntaxError as error:
            if (error.lineno or 0) < refusal.line:  # read as Python 2, it is right up to there
                line = _decoded(source).splitlines()[refusal.line - 1 : refusal.line]
                raise SyntaxError("invalid syntax", (path, refusal.line, None, *(line or [""]))) from None
            raise
    return compile(tree, path, "exec", dont_inherit=True), True


def code_of_expression(text):
    """Compile what ``eval`` is given, in the same way."""
    try:
        tree = _tree_of_python_2(f"({text.strip()}\n)", "<string>")
        return compile(ast.Expression(tree.body[0].value), "<string>", "eval", dont_inherit=True)
    except NotPython2:
        return compile(text.strip(), "<string>", "eval", dont_inherit=True)


def _decoded(source):
    if not source.startswith(codecs.BOM_UTF8):
        for line in source.splitlines()[:2]:
            found = _CODING.match(line)
            if found:
                with suppress(LookupError, UnicodeDecodeError):
                    return source.decode(found[1].decode())
    try:
        return source.decode("utf-8-sig")
    except UnicodeDecodeError:
        return source.decode("latin-1")


def _tree_of_python_2(text, path):
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = text if text.endswith("\n") else text + "\n"
    try:
        text = _with_words_of_today(text)
        tree = ast.parse(str(_engine().refactor_string(text, path)), path)
    except ParseError as error:
        raise NotPython2(error.context[1][0]) from None
    except tokenize.TokenError as error:  # an open bracket
        raise NotPython2(min(error.args[1][0], text.count("\n"))) from None
    except SyntaxError:
        raise NotPython2 from None
    if any(_is_of_python_3(node) for node in ast.walk(tree)):
        raise NotPython2
    _put_lines_back(tree)
    futures = {
        alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module == "__future__"
        for alias in node.names
    }
    _let_variables_stay(tree)
    tree = _Python2(futures).visit(tree)
    return ast.fix_missing_locations(tree)


@functools.cache
def _engine():
    # Its tables of the grammar, which it would keep below the home directory; there may be none.
    with tempfile.TemporaryDirectory() as folder:
        fissix.CACHE_DIR = Path(folder)
        from fissix import refactor
    return refactor.RefactoringTool([f"fissix.fixes.fix_{name}" for name in _FIXERS])


def _with_words_of_today(text):
    # Strings as Python 3 writes them, and indentation by spaces: in Python 2 a tab has eight columns.
    lines = text.splitlines(keepends=True)
    begins = list(itertools.accumulate(map(len, lines), initial=0))
    pieces, done, inside = [], 0, set()
    for kind, word, (first, column), (last, _), _ in tokenize.generate_tokens(io.StringIO(text).readline):
        if kind == tokenize.STRING:
            begin = begins[first - 1] + column
            pieces += [text[done:begin], _STRING.sub(_string_of_today, word)]
            done = begin + len(word)
            inside.update(range(first + 1, last + 1))
    lines = "".join([*pieces, text[done:]]).splitlines(keepends=True)
    for number, line in enumerate(lines, start=1):
        indentation = line[: len(line) - len(line.lstrip(" \t\f"))]
        if "\t" in indentation and number not in inside:
            lines[number - 1] = indentation.expandtabs(_TAB) + line[len(indentation) :]
    return "".join(lines)


_STRING = re.compile(r"([a-zA-Z]*)(.*)", re.DOTALL)
_NO_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def _string_of_today(match):
    prefix, quoted = match[1].lower(), match[2]
    if "f" in prefix:
        raise NotPython2
    if "u" not in prefix and "r" not in prefix:
        # A path of Windows: these begin no character there.
        quoted = _NO_ESCAPE.sub(lambda m: "\\" + m[0] if m[1] in "uUN" else m[0], quoted)
    return ("r" if "r" in prefix else "") + quoted


def _is_of_python_3(node):
    if isinstance(node, ast.arg):
        return node.annotation is not None
    if isinstance(node, ast.arguments):
        return bool(node.kwonlyargs or node.posonlyargs)
    if isinstance(node, (ast.List, ast.Tuple)):
        return any(isinstance(item, ast.Starred) for item in node.elts)
    if isinstance(node, ast.Raise):
        return node.cause is not None
    if isinstance(node, ast.FunctionDef):
        return node.returns is not None
    if isinstance(node, ast.ClassDef):
        return bool(node.keywords)
    return isinstance(node, _OF_PYTHON_3)


def _put_lines_back(tree):
    # fissix puts in a line of its own that takes the tuple of a parameter apart.
    added = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            for statement, following in zip(node.body, node.body[1:]):
                if _takes_apart(statement) and following.lineno > statement.lineno:
                    added.append(statement.lineno)
    if added:
        for node in ast.walk(tree):
            for name in ("lineno", "end_lineno"):
                line = getattr(node, name, None)
                if line is not None:
                    setattr(node, name, line - sum(each <= line for each in added))


def _takes_apart(statement):
    value = getattr(statement, "value", None)
    return (
        isinstance(statement, ast.Assign) and isinstance(value, ast.Name) and value.id.startswith("xxx_todo_changeme")
    )


def _let_variables_stay(tree):
    # Of a list comprehension, where they are used outside of it: [f(x) for x in xs]; print(x).
    for scope in ast.walk(tree):
        if isinstance(scope, (ast.Module, ast.FunctionDef, ast.Lambda)):
            comprehensions = [*_list_comprehensions(scope)]
            if comprehensions:
                used = {*_names_used_outside(scope)}
                for comprehension in comprehensions:
                    for part in comprehension.generators:
                        _let_stay(part, used)


def _list_comprehensions(node):
    # Of one scope. What is assigned in what a comprehension goes through does not compile.
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ListComp):
            yield child
        if isinstance(child, ast.comprehension):
            for test in child.ifs:
                yield from _list_comprehensions(ast.Expr(test))
        elif not isinstance(child, _SCOPES):
            yield from _list_comprehensions(child)


_SCOPES = (ast.FunctionDef, ast.Lambda, ast.ClassDef, ast.GeneratorExp, ast.SetComp, ast.DictComp)


def _names_used_outside(node, inside=frozenset()):
    if isinstance(node, ast.ListComp):
        inside = inside.union(name.id for part in node.generators for name in _names_stored(part.target))
    if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Store) and node.id not in inside:
        yield node.id
    for child in ast.iter_child_nodes(node):
        yield from _names_used_outside(child, inside)


def _names_stored(target):
    return [node for node in ast.walk(target) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]


def _let_stay(part, used):
    kept = []
    for name in _names_stored(part.target):
        if name.id in used:
            inner = f"__python2_{name.id}__"
            kept.append(ast.NamedExpr(ast.Name(name.id, ast.Store()), ast.Name(inner, ast.Load())))
            name.id = inner
    if kept:
        part.ifs.insert(0, ast.copy_location(ast.Tuple(kept, ast.Load()), part.target))  # always true


def _call(name, *arguments, keywords=()):
    return ast.Call(ast.Name(f"__python2_{name}__", ast.Load()), list(arguments), list(keywords))


class _Python2(ast.NodeTransformer):
    def __init__(self, futures):
        self.true_division = "division" in futures
        self.prints_by_statement = "print_function" not in futures

    def visit(self, node):
        changed = super().visit(node)
        if changed is not node and isinstance(changed, ast.AST):
            ast.copy_location(changed, node)
        return changed

    def visit_BinOp(self, node):
        self.generic_visit(node)
        if isinstance(node.op, ast.Div) and not self.true_division and not _is_float(node.left, node.right):
            return _call("divide", node.left, node.right)
        if isinstance(node.op, ast.Mod):
            return _call("modulo", node.left, node.right)
        return node

    def visit_Compare(self, node):
        self.generic_visit(node)
        if len(node.ops) != 1:
            return node
        if isinstance(node.ops[0], (ast.Is, ast.IsNot)) and _TYPES & {*map(_name_of, (node.left, *node.comparators))}:
            node.ops = [ast.Eq() if isinstance(node.ops[0], ast.Is) else ast.NotEq()]
        elif type(node.ops[0]) in _EQUALITY and not any(map(_is_number_or_text, (node.left, *node.comparators))):
            return _call(_EQUALITY[type(node.ops[0])], node.left, node.comparators[0])
        elif type(node.ops[0]) in _ORDER:
            return _call("order", ast.Constant(_ORDER[type(node.ops[0])]), node.left, node.comparators[0])
        return node

    def visit_AugAssign(self, node):
        self.generic_visit(node)
        if not isinstance(node.op, ast.Div) or self.true_division or _is_float(node.value):
            return node
        target = node.target
        if isinstance(target, ast.Name):
            value = _call("divide_in_place", ast.Name(target.id, ast.Load()), node.value)
            return ast.Assign([target], value)
        if isinstance(target, ast.Subscript):
            return ast.Expr(_call("divide_item", target.value, _as_value(target.slice), node.value))
        loaded = ast.Attribute(target.value, target.attr, ast.Load())
        return ast.Assign([target], _call("divide_in_place", loaded, node.value))

    def visit_Attribute(self, node):
        self.generic_visit(node)
        if node.attr in _OF_FUNCTIONS:
            node.attr = _OF_FUNCTIONS[node.attr]
        elif node.attr == "message" and isinstance(node.ctx, ast.Load):
            return _call("message", node.value)
        return node

    def visit_Call(self, node):
        self.generic_visit(node)
        method = node.func
        if isinstance(method, ast.Attribute) and method.attr in operations.METHODS:
            node.func = ast.copy_location(_call("method", method.value, ast.Constant(method.attr)), method)
        return node

    def visit_Expr(self, node):
        self.generic_visit(node)
        call = node.value
        if self.prints_by_statement and _name_of(getattr(call, "func", None)) == "print":
            node.value = _statement_print(call)
        return node

    def visit_ExceptHandler(self, node):
        # Python 3 deletes the name at the end of the handler.
        self.generic_visit(node)
        if node.name is not None:
            kept = node.name
            node.name = f"__python2_{kept}__"
            assignment = ast.Assign([ast.Name(kept, ast.Store())], ast.Name(node.name, ast.Load()))
            node.body.insert(0, ast.copy_location(assignment, node))
        return node

    def visit_ClassDef(self, node):
        self.generic_visit(node)
        defined = {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
        for item in list(node.body):
            if isinstance(item, ast.Assign) and _name_of(*item.targets[:1]) == "__metaclass__":
                node.body.remove(item)
                node.keywords.append(ast.keyword("metaclass", item.value))
        for old, new in _METHODS.items():
            if old in defined and new not in defined:
                alias = ast.Assign([ast.Name(new, ast.Store())], ast.Name(old, ast.Load()))
                node.body.append(ast.copy_location(alias, node))
        if not node.body:
            node.body.append(ast.copy_location(ast.Pass(), node))
        return node


def _statement_print(call):
    file = [option for option in call.keywords if option.arg == "file"]
    computes = any(isinstance(each, ast.Call) for value in call.args[1:] for each in ast.walk(value))
    if not computes or any(not isinstance(option.value, (ast.Name, ast.Attribute)) for option in file):
        return _call("print", *call.args, keywords=call.keywords)
    # Each value is written before the next one is computed.
    *values, last = call.args
    open_line = [*file, ast.keyword("end", ast.Constant(" "))]
    prints = [_call("print", value, keywords=open_line) for value in values]
    return ast.Tuple([*prints, _call("print", last, keywords=call.keywords)], ast.Load())


def _is_float(*nodes):
    return any(isinstance(node, ast.Constant) and isinstance(node.value, (float, complex)) for node in nodes)


def _is_number_or_text(node):
    return isinstance(node, ast.Constant) and node.value is not None


def _name_of(node):
    return getattr(node, "id", None)


def _as_value(index):
    if isinstance(index, ast.Slice):
        parts = [part if part is not None else ast.Constant(None) for part in (index.lower, index.upper, index.step)]
        return _call("slice", *parts)
    if isinstance(index, ast.Tuple):
        return ast.Tuple([_as_value(item) for item in index.elts], ast.Load())
    return index
