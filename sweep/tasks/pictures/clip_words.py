"""Says what clip art shows, by the words of its file name.

Only drawings with a noun of these lists are taken: folders hold puns, and names of their artists.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

_NOUNS = """
mammal: antelope=antilope, baboon, bat, bear=orso/medve, beaver, bison, blue whale=bluewhale,
  boar, bull=toro, rabbit=bunny/coniglio, camel, kangaroo=canguro, cat=gatto/gattina, tiger=tigre,
  chipmunk, deer, fawn, dog=puppy/beagle/bulldog, dolphin, donkey, elephant=elefante, fox,
  giraffe, goat, hamster, horse=cavallo, lion=leone, monkey, mouse=topo, orangutan, orca,
  sheep=pecora, pig=porcinet, raccoon, rhinoceros, seal, squirrel, ibex=stambecco, cow=vacca/cattle,
  wolf, hippopotamus, hedgehog, panda, cheetah, leopard, zebra, armadillo, echidna
bird: eagle=acquila/aquila, swan=cigno/cigni, cormorant, crow, dove, duck/ducks, penguin=pinguino,
  flamingo=flamand, seagull=gull/gabbiano, rooster=gallo, owl=gufo, hen=pollo/chicken,
  puffin, turkey=tacchino, bird=uccello/uccelli, parrot
insect: bee=abeille, ant=formica/formichina/formicona, dragonfly=libellula/libellule, damselfly,
  butterfly=farfalla/farfalle, caterpillar, grasshopper=cavalletta/hopper, ladybug=coccinella/
  coccinelle/coccinellona, fly, wasp, mantis=mante/mantide, mosquito=moschito/zanzara,
  beetle=punaisa, cricket
fish: fish=pesce/pescetto, angelfish, shark, cichlid, gourami, loach, seahorse, goldfish
reptile: crocodile, lizard=lucertola/lucertolone/lucertolona, snake=serpente, turtle, frog=rana/
  frogs, dinosaur=dino/dinosauro/dinosauri, dragon, snail=lumaca, worm, spider=ragno/ragnetto,
  scorpion, lobster, crab, crawfish
fruit: apple=apples/applf, banana=bananas, cherry=cherries, grapes=grape, lemon, lime, melon,
  orange=arancione, pear=pera, peach=pesca, pineapple, plum=prune/prugna, strawberry=straw,
  watermelon=pasteque, fruit
vegetable: carrot, corn=maisc/pannocchia, garlic=aglio, mushroom=champignon/toadstool, onion,
  pepper=peperoncino/cayenne/cayennepepperrevisited/habanero, potato, pumpkin, salad, tomato=
  pomodori, bean
sweet: cake=gateau/torta, candy, cookie, flan, ice cream=cone/gelato/glace, waffle=gauffre, muffin,
  lollipop, pie, chocolate, pudding=pudim, doughnut
dish: bread, burger=hamburger, burrito, cheese, croissant, egg=eggs, fries, lasagna, pizza, pretzel,
  sandwich, sausage, spaghetti, soup, steak, toast, taco, pancake=pancakes, bacon, salami=salame,
  onion rings, perogies
drink: coffee=coffe/caffe, teapot=teiera, teacup=tazza, mug=kubek, lemonade, milk, beer=birra,
  juice, wine=vino, drink=softdrink, martini, cocktail, water, tea, bottle=bottiglia, glass
vehicle: car=redcar/autos/chevrolet/skoda/blazer/sportcar, bicycle=bicicletta/bike, bus, truck=
  lorry, airplane=aircraft/plane, hummer, tank, tractor=trattore, motorcycle, ambulance=ambulans,
  taxi, train, tram, rocket=razzo, camper, helicopter, scooter, fire truck, balloon
boat: boat, sailboat, trawler, ship, submarine, canoe, ferry, anchor
instrument: drum=africandrum/drums/djambf/derbouk, guitar=chitarra, cello, flute, horn, harp,
  maracas, dulcimer, oboe, piano, saxophone, trombone, trumpet=tpt, violin, xylophone, banjo,
  accordion
music: record=vinyl, clef, musical note=note/notes/croche/quaver, jukebox, gramophone, headphones,
  microphone=microfono, boombox, radio, speaker
tool: axe, anvil, broom, brush, bucket=secchio, cultivator, drill, hammer=martello, saw=bowsaw/sega,
  shovel=roundpointshovel, rake=leafrake, nail puller=puller,
  magnifying glass=magnifing/magnificator
  /lente, paint roller=roller, pencil=matita, pen, scissors=forbici, screwdriver, trowel, wrench,
  compass=bussola, key=chiave, padlock=lock/lucchetto/lockers, ladder=echelle/scala, knife, mallet=
  mallot, toothbrush, vacuum cleaner=vacuum/vavuum, ironing board=ironing, binoculars=binocolo,
  gear=cog/dentata/engrenagem, shears=hedgeshear, telescope, thermometer, magnet=calamita, toolbox,
  paperclip, stapler=pinzatrice/stappler, eraser, crayon, scalpel, syringe=siringa
weapon: bomb, grenade, gun=pistol/rifle, sword=longsword/katana, cannon, bow, shield, spear, dagger
plant: cactus, tree=albero/arbre, daffodil=daff, daisy, flower=fiore/fiori/flowers/funnyflower/
  flowerandpot, geranium, magnolia, rose, cherry blossom=sakura, sunflower, tulips, bouquet, fern,
  palm tree=palmtree/palm, leaf, lotus=lotas, azalea, hydrangea, hosta, foxglove, iris, shamrock,
  trillium, grass, bamboo, fir tree=sapin/conifer/evergreen, holly, plant, mistletoe, clover
building: house=casa/houses/pinkhome/abitazione, church, factory=fabbrica, lighthouse,
  school, library, tower, castle=castello, capitol, hotel, barn, fire station=firestation, chalet,
  farm, igloo, windmill, tent, bridge=drawbridge
furniture: chair=sedia/poltrona, table=tavolo/tavolino, couch, bed, desk, lamp=lampada, door,
  window=
  finestra, bookcase, bench, toilet, stove
garment: hat=cappello/tophat, cap, crown, fedora, sombrero, shirt=camicia, t-shirt, dress, shoe=
  shoes, boot=stivale, glove, sock, coat, tie, sunglasses, shorts, ring, necklace, earring, helmet=
  casco, feather hat, bag=borsa, sandals, mitten, jacket, braces, bra, belt, umbrella=ombrelloni/
  ombrello, turban
device: computer=pc, laptop, keyboard=tastiera, monitor=monito, printer=stampante/laserprinter,
  scanner, phone=telephone/telefono/cellular/handphone, camera=fotografica/telecamera, television=
  televisore/tv, calculator=calcolatrice, floppy disk=floppy, router, modem, joystick=joypad,
  cd player, battery, light bulb=lightbulb, hard disk=harddisk, webcam, microchip, server, pda,
  radio, camcorder, plug
sport: baseball, basketball, football, soccer ball, golf, tennis, skier, volleyball=volleball,
  badminton, surfboard, skateboard, roller skate=rollerblades/pattino, dartboard, trophy=coppa,
  swimmer, boxing glove, hockey, bowling, medal, runner, pitch, racket
sky: sun=sole, moon, cloud=clouds/nuage, rain, snow, snowman, rainbow, lightning, star=stella/stars,
  snowflake, storm, planet, saturn, earth, mars, jupiter, comet, hurricane
party: balloons=palloncini/palloncino, gift=regalo/present, candle, christmas tree, wreath,
  stocking,
  ornament, party hat, firework=fireworks, santa, ribbon, bell=bells
person: man=uomo/uomini/guy/manager, woman=donna/femme/lady, boy, girl=bambina, baby, clown, dancer,
  ballerina, witch, teacher, student, chef, farmer, doctor=dottore, nurse, police=policeman,
  fireman,
  soldier, knight, king, queen, pirate, robot, angel, fairy=fata/fatina, mermaid, ninja, elf, ghost,
  skull=skulls, skeleton, astronaut, sailor, bride, groom, devil, alien, wizard, vampire
body: hand=hands/mano, eye=eyes/yeux, ear, foot=feet, lips, heart, brain, tooth, nose, fingerprint,
  bone, mouth
paper: book=libro/books/bible, newspaper, notebook, envelope=busta, letter=lettera, map, calendar,
  scroll, stamp, ticket, folder, clipboard
thing: basket=cestino, box, clock=orologio, hourglass=clessidra/sandglass, watch, candle, coin=
  coins, money, dice, chess piece=pawn/rook/bishop/chesspieces, teddy bear=teddybear/teddy, kite,
  doll, globe, barrel=barattolo, vase=vaso, flask=provetta, test tube, microscope, flag=bandiera,
  bottle, pot=pentola, pan=frying, plate=piatto, spoon=cucchiaio, fork, tray, mirror=specchio,
  wheel=ruota, suitcase=valigia/valigie, extinguisher=extincteur, mailbox, ruler, whistle, arrow,
  wheelchair, traffic light, anchor, campfire, fire=fuoco/flame, candle, treasure chest, balance
"""
_MODIFIERS = """
red=rossa/rosso, blue=blu, green=verde, yellow=giallo, orange, pink=rosa, purple, brown, grey=gray/
grigia/grigio, black=nero, white=bianco/bianchi, small=little/piccolo, big=large, old, wooden,
  happy,
angry, crazy, flying, sleeping, baby, electric, open, half, slice, wedge, flat, french,
  digital, hot,
toy, military, cartoon, cute, funny, christmas, birthday, head, two, three, burning, broken, paper,
soft, vanilla, bottled, golden=gold, winter, summer, alarm, wine, soccer, bass, candied, christmas
"""
_LINKS = ("on", "of", "with", "and", "in")

SHOWS_SOMETHING_ELSE = frozenset(
    [
        "drawbridge",
        "cattle",
        "horse",
        "lorry_length",
        "school_hallway_gerald_g._01",
        "sand_castle_nathan_hawke_01",
        "magnifing_glass_gino_riv_01",
        "water_fight__ganson",
        "water_fight_ganson1",
        "macchina_caffe_architett_01",
        "wine_corks_ganson",
        "ontologia_del_vino_archi_01",
        "pie_cherry",
        "pie_cherry_bw",
        "straw_tote_linda_kim_01",
        "wireless_transmitter_bra_01",
        "large_braces.svg_amos_01",
        "casco_con_microfono_arch_01",
        "baseball_bat_bw_ganson",
        "baseball_bat_ganson",
        "cricket_bat_01",
        "hot_dog_juliane_krug_r",
        "nodding_donkey_kevin_cow_01",
        "unit_blocks_lion_kimbro_01",
        "cat_scrathing_post_benji_01",
        "roller_blader_ganson",
        "nitrox_scuba_tank_01",
        "scuba_tank_01",
        "turkey_on_platter_01",
        "turkey_platter_01_with_fruit_and_vegitables_01",
    ]
)
"""Drawings of other things than their first noun says: road signs, puns, roast turkeys.

Found by looking at every drawing of the task; by the names of their files, without suffix.
"""


class Said(NamedTuple):
    """What a file name says."""

    noun: str
    """The first thing that it names."""
    kind: str
    """Of the thing: one of KINDS_OF_CLIP_ART."""
    caption: str


def _entries(text: str) -> Mapping[str, str]:
    """Returns the English word of every word that stands in a list."""
    found = dict[str, str]()
    for entry in re.sub(r"\s+", " ", text).replace("/ ", "/").replace("= ", "=").split(","):
        words = [word.strip() for part in entry.split("=") for word in part.split("/")]
        found |= {word: words[0] for word in words if word}
    return found


_LINES = re.findall(r"^([a-z]+):((?:.|\n(?! *[a-z]+:|$))*)", _NOUNS, re.MULTILINE)
_BY_KIND = {kind: _entries(entries) for kind, entries in _LINES}
KINDS_OF_CLIP_ART = tuple(_BY_KIND)
_WORDS = {word: noun for entries in reversed(_BY_KIND.values()) for word, noun in entries.items()}
_KIND = {noun: kind for kind, nouns in reversed(_BY_KIND.items()) for noun in nouns.values()}
_ADJECTIVES = _entries(_MODIFIERS)
_IS_NO_THING = re.compile(
    r"tux|logo|banner|border|icon|text|sign|symbol|kallisti|knievel|pinout|diagram"
)


def said_by(stem: str) -> Said | None:
    """Returns what the name of a file (without suffix) says, or None if that is unclear.

    >>> said_by("owl_on_branch_ganson")
    Said(noun='owl', kind='bird', caption='owl')
    >>> said_by("gufo_civetta_architetto__01").caption, said_by("kallisti-grenade_1_nurbl_01")
    ('owl', None)
    """
    stem = stem.lower()
    if _IS_NO_THING.search(stem):
        return None
    tokens = re.findall("[a-z]+", stem)
    taken, noun, after = list[str](), "", -1
    i = 0
    while i < len(tokens):
        pair = " ".join(tokens[i : i + 2])
        if pair in _WORDS:
            word, step = _WORDS[pair], 2
        else:
            word, step = _WORDS.get(tokens[i], ""), 1
        if word and not noun:
            # A thing that is used as an adjective: "apple pie" is a pie.
            noun = word
            taken.append(word)
        elif word and i == after:
            noun = word
            taken.append(word)
        elif tokens[i] in _ADJECTIVES and not noun:
            taken.append(_ADJECTIVES[tokens[i]])
        elif noun and tokens[i] == "bw":
            taken.insert(0, "black and white")
        if word:
            after = i + step
        i += step
    if not noun:
        return None
    return Said(noun, _KIND[noun], " ".join(dict.fromkeys(taken)))
