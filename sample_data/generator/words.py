"""Shop copy and customer reviews from a compositional grammar.

`{a|b}` in a frame is a choice, choices may be nested; `<n>` is an everyday noun for the product; `<0>`, `<1>` are clauses
that state facts. Copy states every read axis of an item in plain words. A review paraphrases one to three of them, always
truthfully: what differs with the stars is how the reviewer feels about a fact, never the fact.
"""
# ruff: noqa: E501  # one frame a line: the tables of sentences read better long than broken

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from sample_data.generator.people import LOOK_FEATURES, READ_FEATURES, People, Row
from sample_data.generator.world import AXES, FAMILY, Group, Item, World, choose, impressions, shuffle, stream

NAMES = (
    "Nordlys", "Brennvik", "Tarnholm", "Ålesby", "Kvistad", "Lomsdal", "Fjellro", "Sundvær", "Havrike", "Myrland",
    "Ostrava", "Velmora", "Calvessa", "Tirano", "Bellorin", "Quintara", "Sorrenta", "Maribel", "Lucerna", "Avelar",
    "Ondine", "Tresco", "Penmarrow", "Wexcombe", "Haldane", "Thornby", "Carrowmore", "Dunlavin", "Brisedale",
    "Ashgrove", "Eskmere", "Tolworth", "Orrin", "Kessock", "Strathyre", "Lindale", "Marchmont", "Rosneath", "Vantaa",
    "Kuusamo", "Lapinlahti", "Oulanka", "Saimaa", "Inari", "Pyhtää", "Kihniö", "Sorunda", "Grythyttan", "Mölle",
    "Torekov", "Ystra", "Älvkar", "Rimforsa", "Dalhem", "Vättara", "Norrsken", "Kallvik", "Bergåsa", "Hökvik",
    "Tjörna", "Solberga", "Arvika", "Zennor", "Morvah", "Trelowen", "Lanyon", "Kerrow", "Bosigran", "Nanvean",
    "Porthmeor", "Castellane", "Vauclair", "Mirepoix", "Sancerra", "Beaulis", "Talmont", "Verneuil", "Clairval",
    "Montsec", "Arlanza", "Ribesa", "Olivenza", "Tavira", "Alcanede", "Serpina", "Monsara", "Vidago", "Lagarto",
    "Ericeira", "Sintrel",
)  # fmt: skip

NOUNS = {
    "mug": "mug|cup|coffee mug|mug|tea cup", "vase": "vase|flower vase|vase", "bowl": "bowl|serving bowl|bowl|dish",
    "bottle": "bottle|water bottle|bottle|flask", "teapot": "teapot|pot|tea pot",
    "table_lamp": "lamp|table lamp|bedside lamp|desk lamp", "pendant_lamp": "lamp|hanging lamp|ceiling lamp|pendant",
    "stool": "stool|seat|stool", "chair": "chair|chair|dining chair", "side_table": "table|side table|little table|coffee table",
    "planter": "planter|plant pot|flower pot|pot", "clock": "clock|clock|wall clock", "speaker": "speaker|speaker|loudspeaker",
    "candle_holder": "candle holder|candlestick|holder|candle stand", "bell": "bell|bell|little bell",
    "cushion": "cushion|pillow|cushion|throw pillow",
}  # fmt: skip
FAMILY_WORDS = {name: name.replace("_", " ") for name in NOUNS}
COLOUR_WORDS = {
    "white": "white|off-white|creamy white", "black": "black|deep black|charcoal black", "grey": "grey|stone grey|soft grey",
    "red": "red|deep red|brick red", "orange": "orange|warm orange|burnt orange", "yellow": "yellow|sunny yellow|mustard yellow",
    "green": "green|bottle green|forest green", "teal": "teal|blue-green|sea green", "blue": "blue|strong blue|royal blue",
    "navy": "navy|dark blue|midnight blue", "purple": "purple|violet|plum purple", "pink": "pink|soft pink|dusty pink",
}  # fmt: skip
PATTERN_WORDS = {
    "plain": "the single flat colour|the plain finish without any pattern|the solid colour all over",
    "striped": "the stripes|the striped pattern|the bands running round it", "dotted": "the dots|the polka dots|the spots",
    "checked": "the checks|the checkered pattern|the little squares",
    "speckled": "the speckles|the speckled finish|the fine flecks",
}  # fmt: skip
MATERIAL_WORDS = {
    "ceramic": "ceramic|glazed clay|pottery", "glass": "glass|real glass", "oak": "oak|oak wood|solid oak",
    "walnut": "walnut|walnut wood", "steel": "steel|stainless steel|metal", "brass": "brass|warm brass metal",
    "fabric": "fabric|woven cloth|the textile", "plastic": "plastic|moulded plastic", "stone": "stone|real stone",
}  # fmt: skip

# (axis, level) or (axis, class, level) -> the sentences of the shop.
COPY: dict[tuple[str, ...], str] = {
    ("care", "tableware", "machine"): "Dishwasher-safe.;Safe for the dishwasher at any setting.;Can be cleaned in the dishwasher.",
    ("care", "tableware", "by_hand"): "Hand wash only.;Please wash by hand in warm water.;Wash by hand with mild soap.",
    ("care", "tableware", "fussy"): "Needs special cleaner and regular polishing.;Clean with the special polish only, once a week.;Demanding to clean: special polish required.",
    ("care", "household", "machine"): "Wipes clean with a wet cloth.;Water-resistant finish, simply wipe with a damp cloth.;Clean with any wet cloth.",
    ("care", "household", "by_hand"): "Dust with a dry cloth only, keep away from water.;Dry dusting only, no water.;Clean dry: the finish must not get wet.",
    ("care", "household", "fussy"): "Needs waxing twice a year.;Treat the surface with wax every six months.;Regular waxing is required to keep the finish.",
    ("care", "textile", "machine"): "Machine washable at 40 °C.;Cover can go in the washing machine.;Machine wash and tumble dry.",
    ("care", "textile", "by_hand"): "Hand wash in cold water.;Wash gently by hand in a basin.;Cold hand wash only.",
    ("care", "textile", "fussy"): "Dry clean only.;Professional dry cleaning required.;Please have it dry cleaned.",
    ("weight", "light"): "Very light.;Ultra-light construction.;Lightweight, easy to lift with one finger.",
    ("weight", "medium"): "Medium weight.;Average weight for its kind.;Neither light nor heavy.",
    ("weight", "heavy"): "Heavy and substantial.;Solid, heavy construction.;Noticeably heavy.",
    ("delivery", "next_day"): "Next-day delivery.;In stock: delivered tomorrow.;Ships today, arrives the next day.",
    ("delivery", "week"): "Delivery within a week.;Delivered in five to seven days.;Arrives in about a week.",
    ("delivery", "slow"): "Made to order, delivery in six weeks.;Long delivery time: about six weeks.;Allow six weeks for delivery.",
    ("price", "bargain"): "Our budget line.;Lowest price in its class.;A bargain for every budget.",
    ("price", "fair"): "Mid-range price.;Fairly priced, in the middle of our range.;Moderate price.",
    ("price", "premium"): "From our luxury line.;Premium price for a luxury piece.;Exclusive and expensive.",
    ("warranty", "none"): "Sold as seen, no warranty.;Bought at your own risk, no returns.;Sold as is, all claims excluded.",
    ("warranty", "two_years"): "Two-year warranty.;Covered by a warranty of 24 months.;Warranty: two years.",
    ("warranty", "lifetime"): "Lifetime warranty.;Guaranteed for life.;We replace it for free, for a lifetime.",
    ("source", "conventional"): "Made from new raw material.;Conventional production from virgin material.;Made of freshly mined raw material.",
    ("source", "part_recycled"): "Half of the material is recycled.;Made with 50 % recycled content.;A mix of new and recycled material.",
    ("source", "recycled"): "Made entirely from recycled material.;100 % recycled.;Sustainable: all of the material is recycled waste.",
    ("packing", "plastic"): "Shipped in plastic wrap and foam.;Packed in bubble wrap.;Comes in plastic packaging.",
    ("packing", "paper"): "Plain paper packaging.;Shipped in a simple cardboard box.;Packed in brown paper and string.",
    ("packing", "gift_box"): "Comes in a gift box with ribbon.;Delivered gift-wrapped.;Presented in an elegant gift box.",
    ("toughness", "delicate"): "Delicate: handle with care.;Fragile, chips easily.;A fragile piece that scratches easily.",
    ("toughness", "normal"): "Suited to normal everyday use.;Ordinary everyday durability.;Holds up to normal use.",
    ("toughness", "tough"): "Extremely tough, survives drops.;Shockproof and nearly unbreakable.;Built to take knocks and falls.",
    ("handling", "grip", "low"): "Slim, petite grip.;Narrow grip for slender fingers.;Slim grip for one finger.",
    ("handling", "grip", "middle"): "Standard grip.;Grip of usual size.;Ordinary, medium-sized grip.",
    ("handling", "grip", "high"): "Extra-wide grip for large hands.;Roomy grip for a whole fist.;Large, chunky grip.",
    ("handling", "seat", "low"): "Very soft.;Soft padding you sink into.;Plush and soft.",
    ("handling", "seat", "middle"): "Medium-firm.;Neither soft nor hard.;Medium firmness.",
    ("handling", "seat", "high"): "Firm and supportive.;Hard and firm.;Firm support for the back.",
    ("handling", "light", "low"): "Dim, cosy light.;Gives a soft, low mood light.;Low brightness for evenings.",
    ("handling", "light", "middle"): "Dimmable.;Brightness can be adjusted with a dimmer.;With stepless dimmer.",
    ("handling", "light", "high"): "Very bright.;Bright light for reading and work.;High brightness, lights a whole room.",
    ("handling", "sound", "low"): "Silent or very soft in sound.;Whisper-quiet.;Barely audible.",
    ("handling", "sound", "middle"): "Moderate volume.;Medium loud.;Sound of middling volume.",
    ("handling", "sound", "high"): "Very loud.;Powerful, loud sound.;Loud enough for a large house.",
    ("handling", "assembly", "low"): "No assembly: arrives in one piece.;Ready to use out of the box.;Fully assembled.",
    ("handling", "assembly", "middle"): "Quick assembly with a few screws.;Two parts to screw together.;Ten minutes of assembly.",
    ("handling", "assembly", "high"): "Complex assembly with many parts and tools.;Assembly takes two hours.;Flat-packed in many parts, tools required.",
    ("handling", "stand", "low"): "Soft felt pads under the base.;Felt-lined base that does not scratch.;Base covered with felt.",
    ("handling", "stand", "middle"): "Bare, raw base.;Unlined base, use a coaster.;Naked underside, lay a mat below.",
    ("handling", "stand", "high"): "Non-slip rubber base.;Rubber base that grips the table.;Stands firmly on an anti-slip rubber foot.",
}  # fmt: skip

# The same facts as customers tell them. Every clause is a full statement that fits behind "I like that" and "sadly".
CLAUSES: dict[tuple[str, ...], tuple[str, ...]] = {
    ("care", "tableware", "machine"): (
        "it comes out of the {machine|dishwasher} {like new|spotless|as good as new}", "it goes straight in with the {dirty plates|rest of the dishes|other dishes}",
        "{the dishwasher|the machine} does {all the cleaning|the scrubbing} for me", "I {just|simply} load it {in the dishwasher|with the plates} and {press start|forget about it}",
        "nobody has to {stand at the sink|scrub anything} because {the machine|the dishwasher} can have it", "it has been through {dozens of|fifty|countless} dishwasher {cycles|runs} {without a mark|and looks the same}",
        "{even|} the hottest {programme|cycle} of {our|the} dishwasher does not harm it"),
    ("care", "tableware", "by_hand"): (
        "it has to be {washed|cleaned|done} by hand", "it is {strictly|purely} a matter of {hand washing|washing by hand}", "I {rinse|wash} it {myself|in the sink} with {a little|some} {soap|washing-up liquid} {every time|each time}",
        "it means {standing|a minute} at the sink with {a sponge|warm water and soap}", "the {washing up|cleaning} is a {job|matter} for {the sponge|your own two hands}",
        "{we|I} wash it up in the sink {after every use|each evening}, {sleeves rolled up|brush in hand}"),
    ("care", "tableware", "fussy"): (
        "it wants {its own|a special} {polish|cleaner} {every week|all the time|to stay nice}", "it {has to be|must be} polished {again and again|week after week|all the time}", "keeping it clean takes {a special paste|special products} and {patience|elbow grease}",
        "plain soap will not do and you need {the right|a special} polish", "{I spend|you spend} {ages|half an hour} {polishing|buffing} it {every weekend|each week}",
        "it {demands|asks for} a lot of {looking after|polishing}"),
    ("care", "household", "machine"): (
        "a {wet|damp} {cloth|rag|sponge} {is all it takes|takes care of every stain}", "{spills|sticky fingers|splashes} {wipe|come} {right off|off in a second}", "I go over it with {a wet cloth|a soapy sponge} and {it is clean|am done}",
        "water does {it no harm|no damage} {when I wipe it|at all}", "cleaning is {one wipe|a quick wipe} with a {wet|damp} cloth", "{you|I} can {wipe it down|wash it off} with water {without a worry|any time}"),
    ("care", "household", "by_hand"): (
        "it must {never|not} get wet", "you can only {dust it|go over it} {dry|with a dry duster}", "{a feather duster|a dry cloth} is {all it can take|the only thing allowed}", "water leaves {marks|stains} so {I dust it dry|only dry cloths touch it}",
        "I keep {water|damp cloths} away from it and {dust instead|just dust it}", "cleaning means {dusting|a dry duster}, {no water at all|never a wet cloth}"),
    ("care", "household", "fussy"): (
        "it has to be waxed {twice a year|every spring and autumn|every six months}", "{I am on my|you are on your} knees with {a tin of wax|wax and a rag} {every half year|twice a year}", "the surface {asks for|needs} wax {regularly|again and again}",
        "without {regular|a coat of} wax {it turns dull|the finish fades}", "it wants {treating|rubbing} with wax {to stay nice|every few months}", "a {pot|tin} of wax {belongs to|comes with} owning it"),
    ("care", "textile", "machine"): (
        "it goes in the {washing machine|weekly wash} {with the towels|without trouble|and comes out fresh}", "I {throw|put} it in the {wash|washing machine} with {everything else|the bed linen}", "it {has survived|came through} {ten|many} {washes|spins} in the machine",
        "the washing machine {gets every stain out|cleans it perfectly}", "washing it is {one push of a button|as easy as socks}", "it {can be|is} machine washed {and tumbled|and dried in the tumbler}"),
    ("care", "textile", "by_hand"): (
        "it has to be washed by hand in cold water", "it is {strictly|purely} a matter of {hand washing|washing by hand}", "I wash it {in the sink|in a basin} with {cold water|mild soap}", "washing {means|is} a basin of cold water and {my own hands|some patience}",
        "{only|nothing but} a {gentle|cold} hand wash is allowed", "I {dunk|soak} it in cold water and {squeeze it out|wash it} by hand"),
    ("care", "textile", "fussy"): (
        "it has to go to the {dry cleaner|cleaners}", "only {dry cleaning|the dry cleaner} {will do|is allowed}", "every {stain|spill} means a trip to the {cleaners|dry cleaner}", "it {goes|is off} to the {dry cleaner|professional cleaner} {every few months|after each party}",
        "I {pay|have to pay} for {dry cleaning|professional cleaning} {every time|whenever it gets dirty}", "the label {sends you|sends it} to the dry cleaner"),
    ("weight", "light"): (
        "it weighs {next to|almost} nothing", "it is as light as {a feather|air}", "I can {lift|carry|move} it with {one finger|two fingers|one hand}", "you {hardly|barely} {feel|notice} any weight {when you pick it up|in your hand}",
        "{even my|my} {little daughter|grandmother|five-year-old} {can carry|carries} it {around|easily}", "there is hardly any weight to it", "it is {so light|light enough} that {a child can carry it|I keep moving it about}"),
    ("weight", "medium"): (
        "it is neither {light nor heavy|heavy nor light}", "it weighs about what {you expect|I expected|such things weigh}", "the weight is {average|middling|in between|just the usual}", "it has {some weight but not too much|a normal, middling weight}",
        "it is {not a feather and not a brick|no lightweight but no lump either}", "{picking|lifting} it up is {no surprise|nothing special}, the weight is {quite ordinary|average}"),
    ("weight", "heavy"): (
        "it weighs {a ton|as much as a brick|a great deal}", "it is {seriously|properly|really} heavy", "{it takes|you need} {two hands|some muscle} to {lift|move} it", "it {has|carries} {real|serious} heft", "I {need|needed} {help|both arms} to {carry it|get it upstairs}",
        "it is a {massive|weighty|hefty} thing", "nobody {moves|lifts} it {by accident|with one hand}, so heavy is it"),
    ("delivery", "next_day"): (
        "it {was here|arrived|stood at my door} the {very |}next {day|morning}", "I ordered in the evening and {had it|it came} the {following|next} day", "the {postman|courier} {brought it|rang} {within|less than} 24 hours {after the order|after I paid}",
        "it {came|turned up} {overnight|the day after I ordered}", "{barely|hardly} a day {passed|went by} and it was {here|on my table}", "shipping {took|needed} {just|only} one day"),
    ("delivery", "week"): (
        "it {came|arrived|was here} {after|in} {about|roughly} a week", "it took {five days|six days|a week} to {arrive|get here|reach us}", "ordered on {Monday|Tuesday} it {came|was here} {by the weekend|on Saturday}", "the {parcel|courier} needed {the better part of|about|nearly} a week",
        "we {waited|had to wait} {six|seven|five or six} days {for it|for the parcel}", "{a week|some six days} {went by|passed} {until it came|before the courier rang}"),
    ("delivery", "slow"): (
        "it took {more than a month|six weeks|a month and a half} to {arrive|get here|come}", "we waited {for weeks|week after week|six long weeks} {for it|until it came}", "the {delivery|shipping} {took|dragged on for} {ages|six weeks|well over a month}",
        "I had {nearly|almost} forgotten the order when it {finally|at last} {came|arrived}", "{a whole season|over a month} {went by|passed} before it {came|was here}", "they only {start making it|build it} once you order and {that takes weeks|you wait for weeks}"),
    ("price", "bargain"): (
        "it {cost|costs} {next to nothing|almost nothing|less than lunch}", "it was {dirt|really|incredibly} cheap", "{you will not|I could not} find {one|anything like it} for less", "I paid {surprisingly little|hardly anything|a tiny sum}",
        "{my wallet|my purse} hardly {noticed|felt it}", "it is {an absolute|a real|a} bargain", "it was the cheapest {I could find|one around|of all}"),
    ("price", "fair"): (
        "the price is {in the middle|middling|neither high nor low}", "it {costs|cost} {about what one pays|an average sum|a reasonable amount}", "it is {neither cheap nor dear|not cheap but not dear either}", "I paid {a normal|an ordinary|a moderate} price",
        "you pay {a fair amount|a fair sum|what it is worth, no more and no less}", "the {bill|price} was {about average|quite moderate|as expected}"),
    ("price", "premium"): (
        "it {cost|costs} {a small fortune|an arm and a leg|a lot of money}", "it is {really|very|seriously} expensive", "I had to {save up|save for months} for it", "you {pay|are paying} {luxury prices|top money|a high price}", "it {made a hole|left a dent} in my {budget|bank account}",
        "{the price|what they ask} {made me swallow|is steep|belongs in a jeweller's window}", "it is a {luxury|splurge} {and priced like one|one has to afford}"),
    ("warranty", "none"): (
        "nobody {pays|is liable} if it {breaks|fails}", "it is sold {as is|as seen} {with all claims excluded|and that is the end of it}", "if it {breaks|fails} {tomorrow|one day} {you are on your own|that is your problem}", "the {shop|seller} {washes its hands of it|takes no responsibility} {afterwards|once it is yours}",
        "it is {bought as seen|at your own risk}", "{they|the makers} will not {replace|repair} it {when something happens|if it goes wrong}"),
    ("warranty", "two_years"): (
        "it is {covered|guaranteed} for {two years|twenty-four months}", "they {replace|repair} it {free|for free} within {two years|the first two years}", "the {guarantee|warranty|cover} {runs out|ends|stops} after {two years|24 months}",
        "I have {two years|24 months} to {send it back|claim a new one} if it {breaks|fails}", "you get the {usual|standard|customary} two years of {cover|guarantee}", "the {receipt is good|paper says it is covered} for two years"),
    ("warranty", "lifetime"): (
        "it is guaranteed {for ever|for life|as long as I live}", "they will {replace|repair} it {no matter when|even in thirty years|for the rest of my life}", "the {guarantee|warranty} never {ends|runs out|expires}", "if it {ever|one day} breaks I {simply |}get a new one, {even decades from now|whenever that is}",
        "the {maker|shop} stands behind it {for good|for a lifetime|forever}", "{my children|my heirs} could still {claim a replacement|send it back under the guarantee}"),
    ("source", "conventional"): (
        "{all of it|every gram} {comes from|was dug in} a {mine|quarry|fresh source}", "it is made from {brand-new|virgin|freshly dug} {material|raw material}", "it is made the {conventional|old-fashioned} way from {virgin|untouched} {resources|material}", "it is {an ordinary|a conventional} product {with no green claims|as far as the planet goes}",
        "all of the raw material is {new|freshly made}", "it does nothing special for the {environment|planet}, {all new material|everything is new}"),
    ("source", "part_recycled"): (
        "{half|about half|fifty percent} of it {used to be|was once} {something else|scrap|waste}", "it is {partly|half} recycled", "{half of it|one half} is new and {half|the rest} reused", "about half {the material comes from recycling|of what it is made of is recycled}",
        "{they mix|the maker mixes} {old and new|fresh and reused} material", "it is {half way to|only halfway} green, {fifty fifty|half recycled}"),
    ("source", "recycled"): (
        "it is made {completely|entirely|all} from {waste|scrap|old stuff|rubbish}", "{every gram|every bit|all} of it {was|used to be} {something else|waste} before", "it was made from {old bottles and cans|used things people threw away|recycled leftovers}", "it is {fully|one hundred percent|all} recycled",
        "it {keeps|kept} {rubbish out of landfill|a heap of waste out of the bin}", "it is {kind to|good for} the planet, {only reused material|all of it recycled}"),
    ("packing", "plastic"): (
        "it came {buried|wrapped|swimming} in {plastic|bubble wrap|foam}", "the {parcel|box} was full of {plastic|polystyrene|foam and plastic}", "{half a bin|a whole bag} of {plastic rubbish|bubble wrap} came with it", "I peeled off {layer after layer|metres} of {plastic|bubble wrap}",
        "they {use|used} {a lot of|loads of} plastic {for the packaging|to wrap it}", "the wrapping is {all plastic|plastic and foam}"),
    ("packing", "paper"): (
        "it came in {plain|nothing but} {paper|cardboard}", "the {parcel|box} was {plain cardboard|brown paper} {and string|through and through}", "the {wrapping|packaging} went {straight|right} into the paper {bin|recycling}", "it {arrived|came} in a simple {carton|cardboard box} {with some paper|and shredded paper}",
        "they pack it {in kraft paper|in paper only|in brown paper}", "the {box|wrapping} is just {brown card|paper} and {a bit of string|paper tape}"),
    ("packing", "gift_box"): (
        "it came {in a lovely box with a ribbon|beautifully gift-wrapped}", "I could {hand it over|give it away} {as it was|just as it came}, {ribbon and all|already wrapped}", "the box {with the bow|with the ribbon} {is a present in itself|looks festive}", "it arrived {wrapped|boxed} like a {birthday|Christmas} present",
        "the {bow and gift paper|gift wrapping} came {ready-made|included}", "{opening|unpacking} it {felt|was} like {Christmas|a birthday}, {bow included|with ribbon and box}"),
    ("toughness", "delicate"): (
        "it {chips|scratches|gets marks} if you {look at it wrong|so much as touch it}", "it is {very|really|terribly} {fragile|delicate}", "one {careless move|knock} and it {is damaged|has a chip}", "you have to {handle it like a raw egg|be so careful with it}",
        "it {already has|got} {a chip|a scratch} after {a week|two days}", "I {tiptoe|am nervous} around it because it {breaks|marks} so easily"),
    ("toughness", "normal"): (
        "it {copes with|stands up to} {ordinary|normal|everyday} use", "it is {about as|as} {sturdy|robust} as {any other|the average one}", "it {holds up|wears} {like most others|about as expected}", "it {lasts|holds} if you treat it {normally|like anything else}",
        "it is {not indestructible but not fragile either|neither fragile nor unbreakable}", "everyday {use|wear} is {fine|no problem} but {I would not drop it|do not throw it about}"),
    ("toughness", "tough"): (
        "it {fell|dropped} {off the table|on the tiles|down the stairs} and {survived|is as good as ever}", "it {is|seems} {indestructible|unbreakable|built like a tank}", "{not even my toddler|not even the dog|no child of ours} {can break it|managed to destroy it}",
        "it takes {every knock|all kinds of abuse} {like a champion|and shrugs it off}", "it {survived|has survived} {three drops|several falls}", "you {can|could} {drive over it|drop it} and it would {not|hardly} {show|care}"),
    ("handling", "grip", "low"): (
        "it {suits|fits|is made for} {petite|little|slender} {fingers|hands}", "{two fingers|a thumb and a finger} {fill it|are all that fits}", "there is {only|just} room for {one|a single} finger", "{my|a} {small hand|child's hand} {closes|goes} {right |}around it", "the grip is {quite|rather|very} {slim|narrow}",
        "it is a {dainty|tiny|thin} thing to {hold|grip}"),
    ("handling", "grip", "middle"): (
        "it {holds|lies in the hand} like {any other|most of them}", "the grip is {of the usual size|quite standard}", "{holding it|the grip} is {nothing special|ordinary}, {neither big nor small|average in size}", "{everyone|most of us} in the family {can hold it|gets a normal hold}",
        "it fits an {average|ordinary} hand", "the grip is {neither slim nor wide|medium-sized}"),
    ("handling", "grip", "high"): (
        "{my huge hands fit|even big paws fit|my whole fist fits}", "there is {plenty of|lots of} room for {four fingers|a whole hand|big fingers}", "it is {made|right} for {people with|somebody with} big hands", "the grip is {really|extra} {wide|chunky|roomy}",
        "it is a {big|thick|fat} thing to {hold|grip}", "you {grab|can grab} it with the {whole|entire} hand"),
    ("handling", "seat", "low"): (
        "you sink {right |deep |}into it", "it is {as soft as butter|wonderfully soft|soft as a cloud}", "it gives way {like a marshmallow|the moment you lean on it}", "{it feels|leaning on it feels} {squishy|pillowy|fluffy}", "there is {no hardness|nothing hard} about it, {all soft|just softness}",
        "it is {more like|like} {sitting|resting} on a cloud"),
    ("handling", "seat", "middle"): (
        "it is {neither hard nor soft|not too soft and not too hard}", "it {gives a little|yields a bit} and then {holds|supports} you", "the firmness is {right in the middle|average|medium}", "it is {half way|somewhere} between a {sofa and a bench|cloud and a board}",
        "the padding is {middling|moderate}, {a bit of give|some give}", "it {has some give|is softish} but {you do not sink in|keeps its shape}"),
    ("handling", "seat", "high"): (
        "it is {hard|firm} {as a board|and does not give}", "you do not sink in, it {holds|supports} {the back|you}", "it {keeps|holds} my back {upright|straight}", "it is {really|quite|properly} firm", "it {feels|is} like {sitting|leaning} on {a board|a gym mat}",
        "there is {hardly any|no} give {when you lean on it|to it}"),
    ("handling", "light", "low"): (
        "it gives {only|just} a {dim|faint|soft} glow", "it is {too dark to read by|not for reading}, {more|rather} of a mood light", "the light is {low and cosy|dim, like a candle}", "it {hardly|barely} lights up {the corner|the room}", "it glows {like a fireplace|like candlelight}, {very dim|never bright}",
        "you {sit|are} in a {cosy half-dark|gentle twilight} with it"),
    ("handling", "light", "middle"): (
        "{I can|you can} {turn it up and down|set the brightness|dim it} as {I like|needed}", "there is a {dimmer|knob for the brightness}", "it goes from {faint to strong|dim to bright} {with a turn|at a touch}", "the brightness is {adjustable|up to you}",
        "I {turn it down|dim it} at night and {up|turn it up} for {work|reading}", "one {knob|dial} {sets|changes} how bright it is"),
    ("handling", "light", "high"): (
        "it {lights up|floods} the {whole|entire} room", "it is {so bright|bright enough} that {I can read anywhere|you need no other lamp}", "it is {as bright as|like} {daylight|a stadium}", "it {shines|is} {really|extremely|awfully} bright", "I can {read|sew|thread a needle} {by it|under it} {at midnight|with ease}",
        "the light is {strong|powerful|glaring}"),
    ("handling", "sound", "low"): (
        "{you|I} {can hardly|hardly|barely} hear it", "it {makes|gives} {almost no|hardly any|no} sound", "it is {quiet as a mouse|whisper quiet}", "{nobody|no baby} wakes up {from it|because of it}", "I {had to hold|hold} my ear {next|close} to it to hear {anything|something}",
        "it is {so quiet|silent enough} that {I forget it is there|it can stay in the bedroom}"),
    ("handling", "sound", "middle"): (
        "it is {neither loud nor quiet|neither quiet nor loud}", "the volume is {average|medium|in the middle}", "you hear it {across the room but not next door|in the same room, no further}", "it is as loud as {somebody talking|a normal conversation}",
        "the sound is of {moderate|middling} {volume|loudness}", "it is {audible|loud enough} without {shouting|being a racket}"),
    ("handling", "sound", "high"): (
        "{the neighbours|people next door} can hear it", "it is {really|deafeningly|incredibly} loud", "you {can hear it|hear it} {through the whole house|in every room|out in the street}", "it {fills|shakes} the {whole house|hall|walls}", "it could wake {the dead|the whole street}",
        "it {makes|gives} {quite a racket|a mighty noise}"),
    ("handling", "assembly", "low"): (
        "it came {in one piece|ready-made|fully built}", "there was nothing to {screw together|put together|build}", "I took it out of the box and {used it|there it stood}", "{no tools were|no screwdriver was} needed {at all|for anything}", "it was {ready|good to go} {at once|straight away|from the first minute}",
        "it {is|was} already {assembled|built} {when it came|on arrival}"),
    ("handling", "assembly", "middle"): (
        "{three|four|a few} screws and it {stood|was done}", "it {took|needed} {ten minutes|a few minutes} with a screwdriver", "there {were only|are just} a couple of {screws|parts} to {fix|join}", "I had to {fix|screw on} {two parts|one part} {myself|first}, {ten minutes|a quick job}",
        "putting it together was {a quick job|done before the kettle boiled}", "you {screw|put} two {parts|halves} together and {that is it|are done}"),
    ("handling", "assembly", "high"): (
        "{putting it together|building it} took {two hours|all evening|half a day}", "it came in {twenty|a hundred|countless} {pieces|parts}", "{I needed|you need} {a whole toolbox|three kinds of tools} to {build it|put it together}", "the {assembly|building} is {a puzzle|quite a project}",
        "{I sat|we sat} on the floor {for hours|all afternoon} with {the manual|screws everywhere}", "you {build|assemble} it from a {flat pack|heap of parts} {by yourself|with many tools}"),
    ("handling", "stand", "low"): (
        "there is {soft felt|felt|a felt layer} {under the bottom|underneath}", "it {glides|slides} {softly|gently} {over the wood|on its felt}", "the bottom is {lined|covered} with {felt|soft felt} so {nothing gets scratched|the wood stays fine}", "it {leaves no|makes no} scratches thanks to the felt",
        "{someone glued|they glued} {felt|little felt pads} under it", "{my|the} {polished|good} table is safe {on account of|because of} the felt below"),
    ("handling", "stand", "middle"): (
        "the {bottom|underside} is {bare|naked|left raw}", "the {bare|naked} bottom {clatters|sits} on the {wood|table}", "I had to {put a coaster|lay a mat} under it", "it {needs|wants} a {coaster|mat} {below|underneath} as the bottom is bare", "they {left|have left} the underside {raw|bare and hard}",
        "without a {mat|coaster} the {bare|hard} bottom {sits right on the wood|touches the table}"),
    ("handling", "stand", "high"): (
        "it {grips|clings to} the {table|shelf} {like glue|and will not slide}", "it {does not|will not} {slip|budge} {thanks to the rubber|on its rubber foot}", "there is {rubber|a rubber ring} {under it|underneath} that {grips|holds}", "{the cat|a bump} cannot {push it off|shift it}, {rubber foot|it has rubber below}",
        "it {sticks|holds} {to the spot|where I put it} because of the rubber", "the rubber {bottom|foot} keeps it {in its place|from slipping}"),
}  # fmt: skip

SEEN_CLAUSES: dict[str, tuple[str, ...]] = {
    "colour": ("it is a {proper|real|lovely kind of} <v>", "the <v> {looks|is} {just like|exactly as} in the {pictures|photos}", "the <v> {catches|draws} the eye {at once|across the room}",
               "the <v> {changes|shifts} a little with the light", "the <v> {covers every side|is everywhere on it}", "that <v> {sets the tone|stands out} in {our|the} {hall|kitchen|living room}"),
    "pattern": ("<v> {catch|catches} the eye", "<v> {is|are} what {everybody|one} {sees|notices} first", "<v> {give|gives} it {a character of its own|its look}", "I keep looking at <v>", "<v> {make|makes} it {look|seem} {different|quite special}"),
    "material": ("{one|you} can {see|tell} that it is <v>", "it is {visibly|clearly|obviously} <v>", "the <v> {shows|looks} {beautifully clear|as it should|just as pictured}", "it has that {typical|certain} look of <v>"),
    "tall": ("it is {taller|slimmer and taller} than {I thought|expected}", "it {stands|looks} {tall and slender|tall and slim}", "the {tall|slender|upright} {shape|silhouette} {stands out|strikes everybody}"),
    "squat": ("it is {lower and rounder|wider and lower} than {I thought|expected}", "it {looks|is} {low and wide|squat and broad}", "the {low|broad|squat} {shape|silhouette} {stands out|strikes everybody}"),
    "ornate": ("the shape is {full of curves|rather playful|quite ornate}", "there are {curves and details|flourishes} {all over|everywhere}", "it has a {curvy|fancy|showy} outline"),
    "simple": ("the shape is {very simple|clean and plain|pared down}", "it has {clean|straight, simple} lines", "there is {no frill|nothing fancy} in the shape"),
}  # fmt: skip

# Chosen once a review, and said at most once where that can be helped.
CONTEXT = {
    "<person>": "{{my|our} {daughter|son|mother|father|sister|brother|aunt|uncle|grandmother|neighbour|flatmate|niece|nephew|"
                "godchild|cousin|teacher|mother-in-law}|my {boss|colleague|girlfriend|boyfriend|wife|husband|best friend}}",
    "<occasion>": "{birthday|wedding|housewarming|anniversary|retirement|graduation|new flat|first home|name day|farewell party|exam}",
    "<place>": "{our|my|the} {kitchen|hallway|living room|bedroom|study|office|summer house|sun room|guest room|reading corner|"
               "dining room|caravan|studio flat|attic|conservatory|nursery|shop window|little café|waiting room|garden room}",
    "<while>": "{two|three|four|five|six|eight|ten} {weeks|months|days}|{a|half a} year|{a|one} {winter|summer|fortnight|month}|"
               "a {long|good|short} while",
    "<when>": "{last|this} {spring|summer|autumn|winter|month|week|year}|"
              "{in|back in} {January|March|May|June|August|October|November}|{a while|some months|a few weeks} ago",
}  # fmt: skip

OPENERS = (
    "{Bought|Got|Ordered|Picked} {this|the} <n> for <person> {|as a surprise |as a thank-you }{|<when>}.",
    "{Bought|Ordered|Got} {this|the} <n> for <place> <when>.",
    "{We|I} have {had|used|owned} {this|the} <n> for <while> {now|by now|so far}.",
    "After <while> with {this|the} <n> {here is my verdict|I feel I can judge it|time for a few words|I have made up my mind}.",
    "{It was|This was} a {present|gift} for <person>{|, for the <occasion>}.",
    "{I|We} {needed|wanted|hunted for|looked for} a <n> for <place>{| and {ended up with|chose|settled on} this one}.",
    "The <n> {has its place|lives|stands|is kept} in <place> {now|these days|since <when>}.",
    "<person> {talked me into|recommended|showed me|pointed me to} this <n>{| <when>}.",
    "{My|Our} {old|last|previous} <n> {broke|gave up|got lost|was stolen|had to go} <when>, so {I|we} {tried|took|chose} this one.",
    "{Second|Third|First|Fourth} <n> {I buy|we buy|we have ordered|I have ordered} {online|here|this year}{|, this time for <person>}.",
    "{Took|Chose} this <n> for the <occasion> of <person>.",
    "{I|We} {use|see} {this|the} <n> {every day|nearly every day|each morning|most evenings|at weekends}{| in <place>}.",
    "{Not my|Hardly my|Not our} first <n>{, but|, and} {the first|the only} one {for <place>|I write about|<person> has noticed}.",
)  # fmt: skip

# How a fact is felt. Frames with <1> join two facts of the same feeling; frames with a plus never open a review.
PRAISE = (
    "{I|We} {really |}{love|like|appreciate} that <0>{|, {especially|above all} for <place>}.",
    "+{Best of all|Even better|What a relief|To my delight|Happily|Luckily}, <0>{|, {just what|exactly what} {I|we} {wanted|needed|hoped for}}.",
    "What {convinced|pleased|delighted} {me|us|<person>} {is|was} that <0>.",
    "<0>, {which is|and that is} {why I bought it|what matters to me|what counts for us|worth a lot to me|just my thing|perfect for <place>}.",
    "{For me|For us|In <place>} it {matters|counts} that <0>{|, so {full marks|I am happy|well done}}.",
    "{I am|We are} {glad|pleased|delighted|thrilled} that <0>{| and {I|we} {would not want it otherwise|tell everybody}}.",
    "{The best part|The highlight|The big plus|A nice surprise}: <0>.",
    "After <while> {it still pleases me|I am still glad|I still enjoy} that <0>.",
    "<0>{, and|; also,|, plus} <1>{|, {just as|exactly as} {I|we} {hoped|wanted}}.",
    "{It is great|It is good|It is lovely|I find it perfect} that <0> and {that |}<1>.",
    "{Two|Two good} reasons {to keep it|for the stars|why I like it}: <0>, and <1>.",
    "+{Not only that|There is more}: <0>.",
    "<person> {keeps saying|was happy to hear|likes} that <0>.",
)  # fmt: skip
BLAME = (
    "{Sadly|Unfortunately|Regrettably|To my dismay|Too bad that}, <0>.",
    "{I|We} {do not like|cannot get used to the fact|am annoyed|dislike it} that <0>.",
    "What {bothers|annoys|disappoints|irritates} {me|us|<person>} is that <0>.",
    "<0>, {which is|and that is} {not for me|not what I wanted|a pity|a shame|a let-down|no good in <place>}.",
    "{For me|For us|In <place>} it is {a problem|a nuisance|a real drawback} that <0>.",
    "{The trouble|The snag|The problem|My complaint}: <0>.",
    "<0>{, and|; on top of that|, and to make it worse,} <1>.",
    "{I am|We are} {disappointed|not happy|let down|unhappy} that <0>{| and that <1>}.",
    "After <while> {it still bothers me|I am still cross|I am tired of it} that <0>.",
    "{I wish somebody had told me|Nobody told me|I should have read} that <0>.",
    "<person> {complained|grumbled|was not pleased} that <0>.",
)  # fmt: skip
NOTE = (
    "{For the record|Worth knowing|Good to know|Just so you know|By the way|In case you wonder|As a note}{:|,} <0>.",
    "<0>, {as the shop says|as described|for what it is worth|which may matter to some|if that matters to you|in case <person> asks}.",
    "{I should add|Let me add|I can confirm|It is true|One should know} that <0>.",
    "+{Otherwise|Apart from that|Besides|As for the rest}, <0>{|, {that is all|so much for that}}.",
    "<0>{, and|;} <1>.",
    "+{What else|Anything else}? <0>.",
    "{In <place>|With us|Here} {I noticed|we noticed|it turned out} that <0>.",
    "After <while> {I can say|it is clear} that <0>.",
)  # fmt: skip
MIND = (
    "+{The only|My only} {drawback|complaint|quibble|regret|wish}: <0>.",
    "{I|We} {do not mind|can live with it|accept|forgive} that <0>{|, {it is worth it|the rest makes up for it}}.",
    "{True|Granted|Fine|Okay}, <0>, but {that is|this is} {a small price|easy to live with|no reason to send it back|fine with me}.",
    "{Even though|Although} <0>, {I|we} {would not|will not} {give it away|part with it|swap it}.",
    "+{If only it were not so|One small minus|A tiny minus}: <0>.",
    "{Never mind|I shrug it off} that <0>.",
)  # fmt: skip
CONCEDE = (
    "{True|Granted|Fine|Admittedly|Yes}, <0>, but {that is not enough|it does not help me|it does not save it|I had hoped for more|I wanted something else}.",
    "{Even though|Although} <0>, {I|we} {will not keep it|would not buy it again|expected more|hoped for more}.",
    "+{At least|On the bright side|The one good thing}{,|:} <0>.",
    "{To be fair|In fairness|To its credit}, <0>{|, {still|yet} {not my thing|it disappoints}}.",
    "<0>, {yet|but} {somehow |}{it does not win me over|I never warmed to it|that did not matter to <person>}.",
)  # fmt: skip
MIXED = (
    "<0>{, and|, while|;|, whereas} <1>.",
    "{On the one hand|For one thing}, <0>, {on the other|for another}, <1>.",
)
TONES = {"praise": PRAISE, "blame": BLAME, "note": NOTE, "mind": MIND, "concede": CONCEDE}

CLOSERS = {
    5: ("{Would|Will} {gladly |happily |certainly |}{buy|order|choose} {it|this <n>|the <n>} again{|, next time for <person>|, maybe for <place>}.",
        "{Highly|Warmly|Fully|Absolutely} recommended{| {to|for} {anyone|everybody|<person>}| for <place>}.",
        "{The|This} <n> {is a joy|makes me smile|has become a favourite|is staying|is perfect} {every day|in <place>|for us|for good}.",
        "{All|Every} {five|possible} stars from {me|us|<person>}.", "{I|We} {could not be|have rarely been} {happier|more content}{| with a <n>}."),
    4: ("{All in all|Overall|On the whole|In short} a {good|very decent|fine|lovely|solid} <n>{| for <place>}.", "{Happy|Content|Pleased} {with it|with the <n>|all round}{|, nearly perfect|, small things aside}.",
        "{I|We} would {recommend {it|the <n>} to|buy {it|the <n>} for} {a friend|<person>}.", "{Four|A good four} stars{| from <person>| from me}, {well earned|no regrets|would order again}.",
        "{A good|A sound|A fine} {buy|choice|purchase}{| for <place>}."),
    3: ("{So|All in all|Overall} {mixed feelings|it is all right|neither here nor there|just okay}{| about this <n>| in <place>}.", "{It|The <n>} does {the job|what it should}, {no more|nothing beyond}{|, says <person>}.",
        "{Three|A middling three} stars{| from me| from <person>}, {no more|neither good nor bad}.", "{Not sure|Undecided} {whether I would buy it again|if I keep this <n>|about it, and so is <person>}."),
    2: ("{Not|Hardly} the <n> {I|we} {wished for|expected|wanted}{| in <place>}.", "{Would not|I will not} {buy|order} {it|this <n>} again.", "{I|We} expected {more|better}{| of a <n>}{| for <place>}.",
        "{Two|Just two} stars{| from me| from <person>}, {sorry|that is all|more is not possible}."),
    1: ("{Sending it back|Going back|Returned it|It goes back} {tomorrow|this week|to the shop}{|, {sorry|never again}}.", "{The|This} <n> {was a mistake|is a disappointment|has no place in <place>}.", "{Keep away|Do not buy it|Save your money}{| unless <person> insists}.",
        "{One|A single} star{| from me| from <person>}{, sadly|, no more}.", "{I|We} {regret|very much regret} {buying it|this <n>|the order}."),
}  # fmt: skip
REVIEW_TITLES = {
    5: "{Love it|Delighted|Perfect for us|Just right|Wonderful|So happy|Exactly what I wanted|A joy every day|Could not be better}",
    4: "{Good buy|Very nice|Happy with it|Well chosen|Nearly perfect|Recommended|Pleased|A good choice}",
    3: "{It is okay|Mixed feelings|All right|So-so|Does the job|Average|Not sure yet}",
    2: "{Expected more|Not for me|Disappointing|Hmm|Not convinced|A bit of a let-down}",
    1: "{Going back|Regret it|Not good|A mistake|Very disappointed|No thanks}",
}

VALENCE: dict[str, int] = {
    "care:fussy": -1, "care:machine": 1, "delivery:slow": -1, "delivery:next_day": 1, "price:bargain": 1, "price:premium": -1,
    "warranty:none": -1, "warranty:lifetime": 1, "source:recycled": 1, "packing:plastic": -1, "toughness:delicate": -1,
    "toughness:tough": 1, "assembly:low": 1, "assembly:high": -1,
}  # fmt: skip
PRICE_FACTOR = {"bargain": 0.55, "fair": 1.0, "premium": 2.1}
LEADS = (
    "{A|One} <m> <f> {for every day|for quiet homes|for people who stay|with a clear purpose|for small and large rooms|you will keep}.",
    "{Designed|Drawn|Developed} in our {studio|workshop}: a <f> {made of|in} <m>.",
    "{This|Our} <f> {in|made of} <m> {has a place in every home|is part of the permanent collection|was {three|two} years in the making}.",
    "{The <f> that|A <f> that} {belongs|feels at home} {anywhere|where people meet}, {made of|in} <m>.",
    "<m>, {shaped|worked|finished} {with care|with patience|by people who know how}: a <f> {for today|for many years|of its own kind}.",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Copy:
    """What the shop says of an item. price: two decimals."""

    title: str
    description: str
    price: str


@dataclass(frozen=True, kw_only=True)
class Review:
    """What a customer says. read, seen, heard: what is mentioned, as 'axis:level', 'colour:teal', 'ring:long'.
    skeletons: one a sentence."""

    title: str
    text: str
    read: tuple[str, ...]
    seen: tuple[str, ...]
    skeletons: tuple[str, ...]
    heard: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One thing a review tells. tone: how the reviewer feels about it, a key of TONES."""

    name: str
    clause: str
    tone: str


_GAP, _STOP, _A = (
    re.compile(r" {2,}"),
    re.compile(r" +(?=[.,;:?])"),
    re.compile(r"\b([Aa]) (?=[aeiouAEIOU])(?!one|uni|use)"),
)
_AFTER_QUESTION = re.compile(r"(?<=\? )[a-z]")
_MARK = re.compile(r"([{|}])")


@cache
def parse(frame: str) -> tuple:
    """A frame as a tree: text, or a tuple of alternatives, each again such a sequence. Raises ValueError on a stray brace."""
    stack: list[list[list]] = [[[]]]
    for piece in _MARK.split(frame):
        if piece == "{":
            stack.append([[]])
        elif piece == "|" and len(stack) > 1:
            stack[-1].append([])
        elif piece == "}" and len(stack) > 1:
            choices = tuple(tuple(one) for one in stack.pop())
            stack[-1][-1].append(choices)
        elif piece in {"|", "}"}:
            raise ValueError(f"{frame!r}: a {piece!r} outside of braces; write choices as {{a|b}}.")
        elif piece:
            stack[-1][-1].append(piece)
    if len(stack) > 1:
        raise ValueError(f"{frame!r}: a brace is not closed.")
    return tuple(stack[0][0])


def _walk(rng: np.random.Generator, tree: tuple) -> str:
    return "".join(part if isinstance(part, str) else _walk(rng, choose(rng, part)) for part in tree)


def expand(rng: np.random.Generator, frame: str) -> str:
    """The frame with every choice made; spaces tidied."""
    return _STOP.sub("", _GAP.sub(" ", _walk(rng, parse(frame)))).strip()


def _upper(text: str) -> str:
    return _AFTER_QUESTION.sub(lambda match: match[0].upper(), text[:1].upper() + text[1:])


def _article(text: str) -> str:
    """'a oak' becomes 'an oak'."""
    return _A.sub(r"\1n ", text)


def _frames(table: dict, item: Item, axis: str) -> object:
    level, family = item.spec[axis], FAMILY[item.look.family]
    classes = {"care": family.care_class, "handling": family.handling_class}
    return table[(axis, classes[axis], level) if axis in classes else (axis, level)]


def write_copy(world: World, items: tuple[Item, ...]) -> dict[str, Copy]:
    """Title, description and price of every item. Nothing in them depends on the look beyond what the group shares."""
    names = {family: iter(shuffle(stream(world.seed, f"names {family}"), list(NAMES))) for family in NOUNS}
    return {item.item_id: _write_one(stream(world.seed, f"copy {item.item_id}"), item, next(names[item.look.family]))
            for item in items}  # fmt: skip


def _write_one(rng: np.random.Generator, item: Item, name: str) -> Copy:
    kind, material = FAMILY_WORDS[item.look.family], item.look.material
    title = f"{name} {choose(rng, [kind, f'{material} {kind}', f'{kind} in {material}'])}"
    lead = expand(rng, choose(rng, LEADS)).replace("<m>", material).replace("<f>", kind)
    lines = [choose(rng, _frames(COPY, item, axis).split(";")) for axis in shuffle(rng, list(AXES))]
    if item.colour_in_words:
        colour = item.look.colour
        lines.insert(0, choose(rng, [f"Colour: {colour}.", f"Comes in {colour}.", f"Finished in {colour}."]))
    base = FAMILY[item.look.family].price * PRICE_FACTOR[item.spec["price"]] * (0.9 + 0.2 * float(rng.random()))
    return Copy(title=title, description=_article(" ".join([_upper(lead), *lines])), price=f"{round(base) - 0.05:.2f}")


def write_reviews(world: World, items: tuple[Item, ...], people: People, rows: tuple[Row, ...], photos: dict[int, str],
                  contradictory: frozenset[int]) -> tuple[Review, ...]:  # fmt: skip
    """One review a row. photos: row number -> customer photo; such reviews tell three read facts, nearly always one that
    tells the group's two specs apart. contradictory: rows whose words have the opposite tone of their stars.
    """
    pairs = {group.group_id: group for group in world.groups}
    by_id = {item.item_id: item for item in items}
    worths = read_worths(people.read_taste)
    reviews = []
    for number, row in enumerate(rows):
        item, user = items[row.item], people.users[row.user]
        rng = stream(world.seed, f"review {user.user_id} {item.item_id}")
        tone = 6 - row.rating if number in contradictory else row.rating
        apart = axes_apart(pairs[item.group_id], by_id)
        read = pick_read(rng, item, worths[row.user], user.share_look, tone, apart if number in photos else ())
        seen = pick_seen(rng, item, people.look_taste[row.user], user.share_look, tone)[: 1 if number in photos else 2]
        reviews.append(compose(rng, item, read, seen, tone))
    return tuple(reviews)


def axes_apart(group: Group, by_id: dict[str, Item]) -> tuple[str, ...]:
    """Axes on which the two specs of a group differ."""
    first, second = by_id[group.items[0]].spec, by_id[group.items[1]].spec
    return tuple(axis for axis in AXES if first[axis] != second[axis])


def feel(value: float, valence: int, tone: int) -> str:
    """Which feeling fits a fact worth `value` to the reviewer in a review of so many stars."""
    if tone >= 4:
        if value > 0.3:
            return "praise" if valence >= 0 else "mind"
        return "mind" if (value < -0.3 and valence <= 0) or valence < 0 else "note"
    if tone <= 2:
        if value < -0.3:
            return "blame" if valence <= 0 else "concede"
        return "concede" if value > 0.3 or valence > 0 else "note"
    return "praise" if value > 0.3 and valence >= 0 else "blame" if value < -0.3 and valence <= 0 else "note"


def order_by_worth(rng: np.random.Generator, values: NDArray[np.float64], tone: int) -> list[int]:
    """Positions by how much the reviewer has to say: what fits the stars first, with chance."""
    lean = {5: 1.0, 4: 0.6, 3: 0.0, 2: -0.6, 1: -1.0}[tone]
    speak = np.abs(values) + lean * values + 1.2 * rng.standard_normal(len(values))
    return [int(k) for k in np.argsort(-speak, kind="stable")]


def pick_read(rng: np.random.Generator, item: Item, worths: NDArray[np.float64], share_look: float, tone: int,
               apart: tuple[str, ...]) -> list[Fact]:  # fmt: skip
    axes = list(AXES)
    values = np.array([worths[READ_FEATURES.index(f"{axis}:{item.spec[axis]}")] for axis in axes])
    order = order_by_worth(rng, values, tone)
    amount = 1 + int(rng.random() < 1.1 - share_look) + int(rng.random() < 0.7 * (1 - share_look))
    if apart:
        amount = 3
        if not any(axes[k] in apart for k in order[:amount]) and rng.random() < 0.8:
            order.insert(0, next(k for k in order if axes[k] in apart))
    facts = []
    for k in order[:amount]:
        axis, level = axes[k], item.spec[axes[k]]
        key = (
            f"assembly:{level}"
            if FAMILY[item.look.family].handling_class == "assembly" and axis == "handling"
            else f"{axis}:{level}"
        )
        clause = expand(rng, choose(rng, _frames(CLAUSES, item, axis)))
        facts.append(
            Fact(name=f"{axis}:{level}", clause=clause, tone=feel(float(values[k]), VALENCE.get(key, 0), tone))
        )
    return facts


def read_worths(taste: NDArray[np.float64]) -> NDArray[np.float64]:
    """(U, G) what every level is worth to every user, against the mean of its axis. taste: (U, G)."""
    axes = [name.split(":")[0] for name in READ_FEATURES]
    same = np.array([[one == other for other in axes] for one in axes], float)  # (G, G)
    return taste - taste @ (same / same.sum(0))


def pick_seen(
    rng: np.random.Generator, item: Item, taste: NDArray[np.float64], share_look: float, tone: int
) -> list[Fact]:
    look, (tall, ornate) = item.look, impressions(item.look)
    options = [("colour", look.colour, COLOUR_WORDS), ("pattern", look.pattern, PATTERN_WORDS),
               ("material", look.material, MATERIAL_WORDS)]  # fmt: skip
    values = [float(taste[LOOK_FEATURES.index(value)]) for _, value, _ in options]
    for value, names, feature in ((tall, ("tall", "squat"), "tall"), (ornate, ("ornate", "simple"), "ornate")):
        if abs(value) > 0.3:
            options.append((names[0] if value > 0 else names[1], "", {}))
            values.append(float(taste[LOOK_FEATURES.index(feature)]) * value)
    amount = int(rng.random() < 1.5 * share_look) + int(rng.random() < share_look - 0.25)
    facts = []
    for k in order_by_worth(rng, np.array(values), tone)[:amount]:
        kind, value, table = options[k]
        clause = expand(rng, choose(rng, SEEN_CLAUSES[kind]))
        if table:
            clause = _agree(clause, choose(rng, table[value].split("|")))
        facts.append(
            Fact(name=f"{kind}:{value}" if value else f"shape:{kind}", clause=clause, tone=feel(values[k], 0, tone))
        )
    return facts


def _agree(clause: str, words: str) -> str:
    """The words put into the clause, with the verb in their number."""
    plural = re.search(r"pattern|finish|colour|textile", words) is None
    pairs = (("catches", "catch"), ("is", "are"), ("gives", "give"), ("makes", "make"))
    for one, many in pairs if words.startswith("the ") else ():
        clause = re.sub(rf"<v> ({one}|{many})\b", f"<v> {many if plural else one}", clause)
    return _article(clause.replace("the <v>", words if words.startswith("the ") else "the <v>").replace("<v>", words))


def compose(
    rng: np.random.Generator, item: Item, read: list[Fact], seen: list[Fact], tone: int, heard: list[Fact] | None = None
) -> Review:
    """Two to four sentences: an opener perhaps, the facts (two of a feeling may share a sentence), a closer perhaps.
    What is heard comes among what is seen."""
    told = heard or []
    seen = seen + told
    facts = shuffle(rng, read + seen) if rng.random() < 0.6 else (seen + read if rng.random() < 0.5 else read + seen)
    parts = _join(rng, facts)
    room = 4 - len(parts)
    opener = room > 0 and (rng.random() < 0.72)
    closer = room - opener > 0 and (rng.random() < 0.55 or len(parts) + opener < 2)
    frames: list[tuple[str, list[Fact]]] = [(choose(rng, OPENERS), [])] if opener else []
    last = ""
    for part in parts:
        tones = {fact.tone for fact in part}
        past = "".join(frame for frame, _ in frames)
        options = [frame for frame in TONES[part[0].tone] if ("<1>" in frame) == (len(part) == 2) and frame != last
                   and not ("<while>" in frame and "<while>" in past) and (past or not frame.startswith("+"))]  # fmt: skip
        last = choose(rng, options if options and len(tones) == 1 else MIXED)
        frames.append((last, part))
    if closer:
        frames.append((choose(rng, CLOSERS[tone]), []))
    context: dict[str, str] = {}
    sentences, skeletons, said = [], [], set()
    for frame, part in frames:
        bare = _say_once(rng, frame.removeprefix("+"), said)
        for token in CONTEXT:
            if token in bare:
                context[token] = context.get(token) or expand(rng, "{" + CONTEXT[token] + "}")
                bare = bare.replace(token, context[token])
        noun = choose(rng, NOUNS[item.look.family].split("|"))
        text, bone = bare, bare
        for k, fact in enumerate(part):
            text = text.replace(f"<{k}>", fact.clause)
            bone = bone.replace(f"<{k}>", f"<{fact.name.split(':')[0]}>")
        sentences.append(_article(_upper(text.replace("<n>", noun))))
        skeletons.append(_upper(bone))
    return Review(title=expand(rng, REVIEW_TITLES[tone]), text=" ".join(sentences), read=tuple(fact.name for fact in read),
                  seen=tuple(fact.name for fact in seen if fact not in told), skeletons=tuple(skeletons),
                  heard=tuple(fact.name for fact in told))  # fmt: skip


def _say_once(rng: np.random.Generator, frame: str, said: set[str]) -> str:
    """The frame expanded, in up to six tries without a context that was said before; adds what it says to `said`."""
    for _ in range(6):
        bare = expand(rng, frame)
        used = {token for token in CONTEXT if token in bare}
        if not used & said:
            break
    said |= used
    return bare


def _join(rng: np.random.Generator, facts: list[Fact]) -> list[list[Fact]]:
    """Facts as sentences: neighbours of one feeling are joined sometimes, and always where four sentences would not do."""
    parts: list[list[Fact]] = []
    for fact in facts:
        alike = (
            parts
            and len(parts[-1]) == 1
            and parts[-1][0].tone == fact.tone
            and fact.tone in {"praise", "blame", "note"}
        )
        if alike and (rng.random() < 0.4 or len(facts) > 4):
            parts[-1].append(fact)
        else:
            parts.append([fact])
    while len(parts) > 4:
        place = next(k for k in range(len(parts) - 1) if len(parts[k]) + len(parts[k + 1]) == 2)
        parts[place : place + 2] = [parts[place] + parts[place + 1]]
    return parts
