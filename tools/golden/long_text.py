"""A long prompt of our own prose, composed from a seed: varied, in several languages, and referring back to itself.

Facts are stated once and asked for again a thousand tokens later, so that attention over the whole prompt matters.
"""

import numpy as np

NAMES = ["Imke Arends", "Tomás Quiroga", "Wanjiru Mwangi", "Pavel Horák", "Siobhán Keane", "Lê Thu Hà", "Ruth Abelson",
         "Matteo Brandi", "Noor Haddad", "Oleksandr Bilyk", "Yuki Tanabe", "Ingrid Solheim"]
PLACES = ["the old pump house", "Harwick quay", "the salt barns", "Lower Tern", "the observatory hill", "Mill Sluice",
          "the eastern dyke", "Kestrel Point", "the bell foundry", "Saint Orla's yard"]
THINGS = ["a brass tide gauge", "three crates of lamp oil", "a cracked bilge pump", "forty metres of tarred rope",
          "the spare rudder pin", "a barometer that reads low", "two sacks of rye", "a box of unsorted letters",
          "the harbour's second-best theodolite", "a jar of cobalt glaze"]
DEEDS = ["signed for", "repaired", "lost sight of", "weighed and recorded", "lent out", "argued about", "found",
         "photographed", "painted over", "carried home"]
WEATHER = ["Fog until noon, then a hard clear light.", "Rain came sideways and the road flooded twice.",
           "No wind at all; smoke stood straight up.", "Frost on the rigging, gone by nine.",
           "A warm gale, with sand in everything.", "Thunder far out, never nearer than the reef."]
REMARKS = ["Nobody could say whose idea that was.", "It cost less than we feared.",
           "The ledger disagrees by one, as it does every spring.", "We agreed to speak of it again on Thursday.",
           "That makes the third time this month.", "The children had known all along."]
CHINESE = ["{name}在{hour}点钟到达码头,手里拿着第{number}号收据。", "今天的潮水比昨天高了{number}厘米,大家都很惊讶。",
           "仓库的钥匙换了地方,只有{name}知道在哪里。", "如果明天不下雨,我们就把剩下的{number}袋粮食运走。"]
SPANISH = ["A las {hour} llegó {name} con {number} cajas y ninguna explicación.",
           "El faro quedó apagado {number} minutos; {name} dice que fue el viento."]
RUSSIAN = ["В {hour} часов {name} снова проверил насос и записал число {number}.",
           "Письмо пришло с опозданием на {number} дней, и никто этому не удивился."]
JAPANESE = ["{name}さんは{hour}時に港へ行き、{number}番の箱を開けました。", "風が弱いので、船は{number}分遅れて出ました。"]
PYTHON = '''```python
def tide_{number}(hours, base={hour}):
    """Height in cm after `hours`, by the rule {name} wrote on the wall."""
    total = base
    for step in range(hours):
        total += (step * {number}) % 7 - 3
        if total < 0:
            raise ValueError(f"dry at step {{step}}: {{total}}")
    return total
```
'''
RUST = '''```rust
/// Crates left after `{hour}` loads of {number}.
fn crates_left(stock: u32) -> Option<u32> {{
    let taken = {hour}u32.checked_mul({number})?;
    stock.checked_sub(taken)
}}
```
'''
TABLE = "| {hour}:00 | {number} | {name} |\n| {hour}:30 | {number2} | {name2} |\n"
QUESTION = "Question: on day {day}, who {deed} {thing}, and where? Answer: {name}, at {place}.\n"


def compose(seed, days):
    """A harbour log of `days` entries."""
    stream = np.random.Generator(np.random.PCG64(seed))

    def pick(choices):
        return choices[int(stream.integers(len(choices)))]

    def fill(template):
        return template.format(name=pick(NAMES), name2=pick(NAMES), hour=int(stream.integers(4, 23)),
                               number=int(stream.integers(2, 900)), number2=int(stream.integers(2, 900)))

    facts, text = [], "# The harbour log\n\n"
    asides = [CHINESE, SPANISH, RUSSIAN, JAPANESE, [PYTHON], [TABLE], [RUST]]
    for day in range(1, days + 1):
        fact = {"day": day, "name": pick(NAMES), "deed": pick(DEEDS), "thing": pick(THINGS), "place": pick(PLACES)}
        facts.append(fact)
        text += f"Day {day}. {pick(WEATHER)} {fact['name']} {fact['deed']} {fact['thing']} at {fact['place']}. "
        text += pick(REMARKS) + "\n" + fill(pick(asides[day % len(asides)])) + "\n"
        if day % 3 == 0:
            text += QUESTION.format(**facts[int(stream.integers(len(facts)))]) + "\n"
    return text
