#! summary: isel, the 440's select instruction: both values of the bit, RA = 0, all CR fields
#! checks: 20
#! privileged: no
        .include "lib.inc.s"

        # select NAME, CR, WANT, INSTRUCTION: r4 = 0x11, r5 = 0x22, into r14
        .macro  select name, cr, want, insn:vararg
        load32  r14, \cr
        mtcr    r14
        li      r4, 0x11
        li      r5, 0x22
        li      r14, -1
        catch   1f
        \insn
1:      bl      catch_end
        check   \name, r14, \want
        .endm

main:   select  isel/set, 0x20000000, 0x11, isel r14, r4, r5, eq
        select  isel/clear, 0xDFFFFFFF, 0x22, isel r14, r4, r5, eq
        select  isel/ra0/set, 0x80000000, 0, isel r14, 0, r5, lt
        select  isel/ra0/clear, 0, 0x22, isel r14, 0, r5, lt
        .irp    bit, 0, 3, 5, 14, 16, 23, 28, 31
        select  isel/bit\bit/set, 0x80000000 >> \bit, 0x11, isel r14, r4, r5, \bit
        select  isel/bit\bit/clear, 0xFFFFFFFF ^ 0x80000000 >> \bit, 0x22, isel r14, r4, r5, \bit
        .endr
        b       finish
