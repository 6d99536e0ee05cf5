"""A grammar that writes English sentences and their French translations, for translate.py.

    seventy-eight black cats do not see her    soixante-dix-huit chats noirs ne la voient pas

It writes what French asks for: articles, adjectives and verbs that agree, most adjectives behind
the noun, "ne ... pas" around the verb and pronouns before it, "de" for "un" and "des" where there
are none, l', d', j', n', m', t', qu' before vowels, "du" for "de le", numbers that count in scores.
Some combinations are held out: adjectives that never meet certain nouns, nouns that never do what
certain verbs say, numbers. Who learns sentences by heart fails on them.
"""

import random
import re
from collections import namedtuple
from zlib import crc32

import command

from tinygrad_rnn.text import Pair

ANIMALS = """dog: chien m, cat: chat m, horse: cheval m, bird: oiseau m, cow: vache f, hen: poule f,
mouse: souris f, bear: ours m, fox: renard m, duck: canard m, bee: abeille f, ant: fourmi f"""
THINGS = """tree: arbre m, flower: fleur f, book: livre m, story: histoire f, letter: lettre f,
picture: image f, plane: avion m, house: maison f, hotel: hôtel m, school: école f,
garden: jardin m, bridge: pont m, island: île f, star: étoile f, hat: chapeau m, apple: pomme f"""
BEFORE = """big: grand grande, small: petit petite, pretty: joli jolie, good: bon bonne,
other: autre autre, beautiful: beau belle, old: vieux vieille, new: nouveau nouvelle"""
MOODS = """happy: heureux heureuse, tired: fatigué fatiguée, strange: étrange étrange,
quiet: calme calme, amusing: amusant amusante, intelligent: intelligent intelligente"""
BEHIND = f"""black: noir noire, white: blanc blanche, green: vert verte, red: rouge rouge,
grey: gris grise, blue: bleu bleue, {MOODS}"""
THE = "the: le la les, my: mon ma mes, her: son sa ses, our: notre notre nos, this: ce cette ces"
ALL = f"{THE}, a: un une des"
# With gender and person: I, you, he, she, we, (a polite you), they.
SUBJECTS = "I: je m 0, you: tu m 1, he: il m 2, she: elle f 2, we: nous m 3, they: ils m 5"
OBJECTS = "me: me 0, you: te 1, him: le 2, her: la 2, us: nous 3, them: les 5"
VERBS = """love: aimer, look for: chercher, listen to: écouter, find: trouver, watch: regarder,
draw: dessiner, admire: admirer, carry: porter, hide: cacher, forget: oublier,
see: vois vois voit voyons voyez voient, want: veux veux veut voulons voulez veulent,
wait for: attends attends attend attendons attendez attendent,
know: connais connais connaît connaissons connaissez connaissent"""
BE, ÊTRE = "am are is are are are".split(), "suis es est sommes êtes sont".split()
ADVERBS = "often: souvent, always: toujours"
PLACES = "in: dans, behind: derrière, under: sous, in front of: devant, near: près de"
JOINTS = "and: et, but: mais, because: parce que"
UNITS = """one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
sixteen seventeen eighteen nineteen""".split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
UNITÉS = """un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze
seize dix-sept dix-huit dix-neuf""".split()
DIZAINES = "vingt trente quarante cinquante soixante".split()
MANY = {"mouse": "mice", "this": "these", "a": "some", "cheval": "chevaux"}
VOWEL = "(?!huit|onze)[aeiouhéêîô]"
LINKED = {"ma": "mon", "sa": "son", "ce": "cet", "beau": "bel", "vieux": "vieil"}  # to a vowel
LINKED |= {"nouveau": "nouvel"}


Noun = namedtuple("Noun", "english french gender person noun")  # noun: "" of a pronoun


def joined(*words: str) -> str:
    """Words with spaces between; some may be empty."""
    return " ".join(filter(None, words))


def with_s(english: str) -> str:
    """The plural of a noun; a verb after he, she or it."""
    word, *rest = english.split()
    ending = "es" if word.endswith(("s", "x", "ch", "sh")) else "s"
    return joined(MANY.get(word, re.sub("(?<![aeiou])y$", "ie", word) + ending), *rest)


def plural(french: str) -> str:
    """Of a noun or an adjective."""
    ending = "" if french[-1] in "sx" else "x" if french.endswith("eau") else "s"
    return MANY.get(french, french + ending)


def number(n: int, gender: str) -> tuple[str, str]:
    """1 to 99 in words."""
    if n < 20:
        return UNITS[n - 1], "une" if (n, gender) == (1, "f") else UNITÉS[n - 1]
    english = TENS[n // 10 - 2] + (f"-{UNITS[n % 10 - 1]}" if n % 10 else "")
    base = 80 if n >= 80 else min(n // 10, 6) * 10
    french = "quatre-vingt" if base == 80 else DIZAINES[base // 10 - 2]
    if n == base:
        return english, french + "s" * (n == 80)
    joint = " et " if n - base in (1, 11) and n < 80 else "-"
    return english, french + joint + number(n - base, gender)[1]


class Writer:
    """Writes sentences, the same ones for the same seed."""

    def __init__(self, seed: int = 0) -> None:
        self.random = random.Random(seed)
        self.chance = self.random.random
        self.combinations: set[str] = set()

    def sentence(self, clauses: int = 1) -> tuple[str, str]:
        """One of so many clauses, and its translation; ``combinations`` are those in it."""
        self.combinations.clear()
        english, french = self.clause()
        for _ in range(clauses - 1):
            joint, *mots = self.one_of(JOINTS)
            more, encore = self.clause()
            english, french = joined(english, joint, more), joined(french, *mots, encore)
        english = re.sub(r"\ba (?=[aeiou])", "an ", english).replace("an other", "another")
        french = re.sub(rf"\b([ljndmt]|qu)[ea] (?={VOWEL})", r"\1'", french)
        french = re.sub(r"\bde le\b", "du", re.sub(r"\bde les\b", "des", french))
        return english, french

    def one_of(self, table: str) -> list[str]:
        """A row: its English, and each word behind the colon."""
        english, french = self.random.choice(table.split(",")).split(":")
        return [english.strip(), *french.split()]

    def clause(self) -> tuple[str, str]:
        """Somebody does something somewhere, or is somehow."""
        i, je, gender, person = self.one_of(SUBJECTS)
        subject = Noun(i, je, gender, int(person), "")
        if self.chance() < 0.6:
            subject = self.noun(ANIMALS, ALL)
        is_he, denied = subject.person == 2, self.chance() < 0.35
        no, ne, pas = ("not", "ne", "pas") if denied else ("", "", "")
        often, souvent = self.one_of(ADVERBS) if self.chance() < 0.2 else ("", "")
        where = où = la = see = ""
        if self.chance() < 0.25:
            do, *voir = BE[subject.person], *ÊTRE
            whom, qui = self.adjective(subject, MOODS)
        else:
            see, *voir = self.one_of(VERBS)
            self.combinations |= {f"{subject.noun} {see}"} if subject.noun else set()
            do = ("does" if is_he else "do") if denied else ""
            see = with_s(see) if is_he and not denied else see
            whom, la, qui = self.object(subject, denied)
            if self.chance() < 0.25:
                in_, *dans = self.one_of(PLACES)
                house = self.noun(THINGS, THE)
                where, où = joined(in_, house.english), joined(*dans, house.french)
        if len(voir) == 1:  # of a regular verb the infinitive
            voir = [voir[0][:-2] + ending for ending in "e es e ons ez ent".split()]
        return (
            joined(subject.english, do, no, often, see, whom, where),
            joined(subject.french, ne, la, voir[subject.person], pas, souvent, qui, où),
        )

    def object(self, subject: Noun, denied: bool) -> tuple[str, str, str]:
        """In English, and in French what stands before the verb and behind it."""
        english, french, person = self.one_of(OBJECTS)
        if {subject.person, int(person)} not in ({0}, {1}, {3}, {0, 3}) and self.chance() < 0.4:
            return english, french, ""
        found = self.noun(f"{ANIMALS}, {THINGS}", ALL, denied)
        return found.english, "", found.french

    def noun(self, nouns: str, articles: str, denied: bool = False) -> Noun:
        """A noun with an article or a number, perhaps with adjectives on either side."""
        noun, nom, gender = self.one_of(nouns)
        the, *forms = self.one_of(articles)
        n = self.random.randint(2, 99) if self.chance() < 0.2 else 0
        several = n > 0 or self.chance() < 0.4
        found = Noun("", "", gender, 5 if several else 2, noun)
        big, grand = self.adjective(found, BEFORE) if self.chance() < 0.3 else ("", "")
        red, rouge = self.adjective(found, BEHIND) if self.chance() < 0.3 else ("", "")
        le = forms[2 if several else "mf".index(gender)]
        if several:
            the, noun, nom = MANY.get(the, the), with_s(noun), plural(nom)
        if n:
            the, le = number(n, gender)
            if n > 20 and n % 10 > 1:
                self.combinations.add(the)
        elif le in ("un", "une", "des") and (denied or (grand and several)):
            the, le = the.replace("some", "any") if denied else the, "de"
        le_chat = joined(le, grand, nom, rouge)
        if not several:
            link = lambda found: LINKED[found[1]] + " "
            le_chat = re.sub(rf"\b({'|'.join(LINKED)}) (?={VOWEL})", link, le_chat)
        return found._replace(english=joined(the, big, red, noun), french=le_chat)

    def adjective(self, of: Noun, table: str) -> tuple[str, str]:
        """One that agrees."""
        english, *forms = self.one_of(table)
        self.combinations |= {f"{english} {of.noun}"} if of.noun else set()
        french = forms["mf".index(of.gender)]
        return english, plural(french) if of.person > 2 else french


def pairs(learned: int, asked: int, seed: int = 0) -> tuple[list[Pair], list[Pair]]:
    """So many to learn from, and so many others with combinations that are held out."""
    writer, found = Writer(seed), ({}, {})
    while len(found[0]) < learned or len(found[1]) < asked:
        english, french = writer.sentence(clauses=writer.random.choice((1, 1, 2)))
        held_out = any(crc32(one.encode()) % 10 == 0 for one in writer.combinations)  # a tenth
        if len(found[held_out]) < (learned, asked)[held_out]:
            found[held_out][english] = Pair(english, french)
    return list(found[0].values()), list(found[1].values())


if __name__ == "__main__":
    with command.ended():
        for english, french in pairs(20, 0)[0]:
            print(f"\n{english}\n{french}")
