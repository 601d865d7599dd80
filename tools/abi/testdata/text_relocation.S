// An absolute address in code, which a loader must write there.
  .text
  .globl answer
answer:
  .quad answer
