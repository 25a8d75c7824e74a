#!/bin/sh
# Runs valgrind's ppc32 programs; arguments choose tests by name, none means all. Each test's output stands
# between two lines that a host-side reader can find:
#   valgrind: NAME: begin
#   valgrind: NAME: end STATUS
[ -r /valgrind/list ] || {
    echo "valgrind: this image holds no valgrind programs"
    exit 2
}
# The kernel's remarks on fatal signals would stand in the middle of a test's output.
echo 0 >/proc/sys/debug/exception-trace
while read -r name program arguments; do
    if [ $# -gt 0 ]; then
        case " $* " in
        *" $name "*) ;;
        *) continue ;;
        esac
    fi
    echo "valgrind: $name: begin"
    "/valgrind/$program" $arguments 2>/dev/null
    echo "valgrind: $name: end $?"
done </valgrind/list
