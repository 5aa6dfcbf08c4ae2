/*
 * refusal.c: an extension module that does not load in a sub-interpreter says
 * so in words of its own, somewhere in the chain of an exception. A record
 * after the traceback names the module and the directive that helps.
 */
#include "internal.h"

/* refused(exception) -> name of the module, "" if it cannot be told, None: it was something else.
 * The phrases are those of CPython ("module x does not support loading in subinterpreters"), PyO3
 * ("do not yet support subinterpreters", "once per interpreter process"), NumPy ("once per
 * process") and Cython ("Interpreter change detected", "one interpreter per process"). */
static const char source[] =
    "PHRASES = ('subinterpreter', 'sub-interpreter', 'once per process', 'once per interpreter process',\n"
    "           'Interpreter change detected', 'one interpreter per process')\n"
    "def refused(error):\n"
    "    for _ in range(50):\n"
    "        if error is None: return None\n"
    "        if isinstance(error, ImportError) and any(phrase in str(error) for phrase in PHRASES):\n"
    "            return error.name or said(str(error)) or imported(error.__traceback__) or ''\n"
    "        error = error.__cause__ or error.__context__\n"
    "def said(text):\n"
    "    words = text.split()\n"
    "    if words[:1] == ['module'] and words[2:3] == ['does']: return words[1]\n"
    "def imported(tb):\n" /* what the innermost import statement of the traceback wanted */
    "    found = None\n"
    "    while tb:\n"
    "        found = wanted(tb) or found\n"
    "        tb = tb.tb_next\n"
    "    return found\n"
    "def wanted(tb):\n"
    "    import dis\n"
    "    code = list(dis.get_instructions(tb.tb_frame.f_code))\n"
    "    for i, x in enumerate(code):\n"
    "        if x.offset == tb.tb_lasti and x.opname == 'IMPORT_NAME' and i > 1:\n"
    "            level, names = code[i - 2].argval, code[i - 1].argval\n"
    "            parts = [x.argval] if x.argval else list(names or ())[:1]\n"
    "            if isinstance(level, int) and level > 0:\n"
    "                package = (tb.tb_frame.f_globals.get('__package__') or '').split('.')\n"
    "                parts = package[:len(package) - level + 1] + parts\n"
    "            return '.'.join(parts)\n";

static int import_error_in_chain(PyObject *v) {
    int found = 0;
    Py_INCREF(v);
    for (int i = 0; v && i < 50 && !found; i++) {
        found = PyErr_GivenExceptionMatches(v, PyExc_ImportError);
        PyObject *next = PyException_GetCause(v);
        if (!next) next = PyException_GetContext(v);
        Py_SETREF(v, next);
    }
    Py_XDECREF(v);
    return found;
}

/* Called with the value of an exception that was logged; none is set. */
void mw_log_refusal(const mw_req *r, PyObject *value) {
    const mw_state *st = mw_state_current();
    if (!st || !st->index || !value || !PyExceptionInstance_Check(value) || !import_error_in_chain(value)) return;
    PyObject *ns = PyDict_New(), *x = NULL, *name = NULL;
    if (ns && PyDict_SetItemString(ns, "__builtins__", PyEval_GetBuiltins()) == 0) x = PyRun_String(source, Py_file_input, ns, ns);
    if (x) name = PyObject_CallFunctionObjArgs(PyDict_GetItemString(ns, "refused"), value, NULL);
    const char *n = name && PyUnicode_Check(name) ? PyUnicode_AsUTF8(name) : NULL;
    if (n)
        mw_say(MW_ERR, r, "0350", "extension module '%.200s' does not load in %s, as that of application group '%.100s'; write "
               "\"WSGIApplicationGroup %%{GLOBAL}\"%s for this application", *n ? n : "?",
               st->conf.own_gil ? "a sub-interpreter with a GIL of its own" : "a sub-interpreter", st->conf.name,
               st->conf.own_gil ? " or \"WSGIPerInterpreterGIL Off\"" : "");
    PyErr_Clear();
    Py_XDECREF(name);
    Py_XDECREF(x);
    Py_XDECREF(ns);
}
