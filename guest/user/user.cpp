// The one user program: ring-3 code that works through its thread's list of operations.
#include "guest/abi/ports.hpp"
#include "guest/abi/program.hpp"

namespace {

using namespace stackrig::abi;

#define USER_TEXT [[gnu::section(".user.text"), gnu::noinline]]

extern "C" {
void user_ud2();
void user_gp();
void user_de();
void user_int3();
void user_step();
void user_touch();
void user_touch_kernel();
void user_call32(std::uint64_t number, std::uint64_t arg, std::uint64_t depth);
}

USER_TEXT void user_mark(UserMark what, std::uint64_t op) {
    asm volatile("outl %%eax, %1" : : "a"(what), "i"(Port::user_mark), "D"(op) : "memory");
}

USER_TEXT void call(const Op& op) {
    const std::uint64_t number = static_cast<std::uint64_t>(op.number);
    std::uint64_t result = number;
    if (op.via == Via::syscall64) {
        asm volatile("syscall" : "+a"(result) : "D"(op.arg), "S"(op.depth) : "rcx", "r11", "memory");
    } else if (op.via == Via::int80) {
        asm volatile("int $0x80" : "+a"(result) : "D"(op.arg), "S"(op.depth) : "memory");
    } else {
        user_call32(number, op.arg, op.depth);
    }
}

}  // namespace

extern "C" USER_TEXT [[noreturn]] void user_main(UserPage* page) {
    for (;;) {
        if (page->pc >= page->op_count) {
            user_mark(UserMark::done, page->pc);
            call({OpKind::call, Sys::exit, Via::syscall64, 0, 0, 0});
        }
        const Op& op = page->ops[page->pc];
        user_mark(op.kind == OpKind::spin ? UserMark::spin : UserMark::op, page->pc);
        if (op.kind == OpKind::jump) {
            page->pc = op.arg;
            continue;
        }
        switch (op.kind) {
            case OpKind::spin: continue;
            case OpKind::call: call(op); break;
            case OpKind::touch: user_touch(); break;
            case OpKind::touch_kernel: user_touch_kernel(); break;
            case OpKind::irqs_off: asm volatile("cli" : : : "memory"); break;
            case OpKind::int3: user_int3(); break;
            case OpKind::step: user_step(); break;
            case OpKind::ud2: user_ud2(); break;
            case OpKind::gp: user_gp(); break;
            case OpKind::de: user_de(); break;
            default: break;
        }
        ++page->pc;
    }
}
