"""What `pixkin mcp` lets an agent ask: a program that is led by a language model, and that a web page or a photo may mislead.

So whatever an agent says, a tool only reads, and only what the watched folders hold:

- A path counts only if it is absolute, lies in a watched folder by its name (`..` is taken out first), and ends as a photo
  does. Of any other path nothing is asked, so nothing is told.
- Then the daemon is asked what has become of it, which opens nothing and follows no link below a watched folder. If it knows
  the photo under another path, a link leads there, and the answer is the same as for a path outside.
- Everything else is asked by the content id of an indexed picture, but for `have`, which asks by the path: whoever can write
  in a watched folder can put a link there after the check. The client never reads a file itself.
- Answers are bounded, and a few requests run at once.

| module | holds |
| --- | --- |
| `arguments` | what each tool takes |
| `library` | the guard, and the answers |
| `server` | the tools as MCP tells them, on standard input and output |
"""
