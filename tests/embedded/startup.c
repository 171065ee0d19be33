/* Reset and vector table of a Cortex-M under QEMU: the floating-point unit, then newlib's own start. */
#include <stdint.h>

extern uint32_t stack_top;
void _start(void);

/* `_start` finds its arguments by semihosting; until then nothing needs memory. */
__attribute__((naked, noreturn)) static void reset(void)
{
    __asm volatile("ldr r0, =0xE000ED88\n" /* CPACR: full access to coprocessors 10 and 11. */
                   "ldr r1, [r0]\n"
                   "orr r1, r1, #0xF00000\n"
                   "str r1, [r0]\n"
                   "dsb\n"
                   "isb\n"
                   "b _start\n");
}

static void fault(void)
{
    for (;;) {
        __asm volatile("bkpt 0");
    }
}

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    &stack_top, reset, fault, fault, fault, fault, fault,
};
