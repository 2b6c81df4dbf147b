"""Word lists of the scrubber: what tells a medical term from a name, and what stands around names and places.

States and countries: ISO 3166 and the U.S. Postal Service's Publication 28, which also has the street suffixes.
Medical word parts: the usual Greek and Latin stems, and the stems of generic drug names (USAN Council).
"""

import re


def words(text: str) -> tuple[str, ...]:
    """The words of a text, in order."""
    return tuple(text.split())


def _words(text: str) -> frozenset[str]:
    return frozenset(words(text))


# ---------------------------------------------------------------- places

STATES = _words(
    """alabama alaska arizona arkansas california colorado connecticut delaware florida georgia hawaii idaho illinois
    indiana iowa kansas kentucky louisiana maine maryland massachusetts michigan minnesota mississippi missouri
    montana nebraska nevada ohio oklahoma oregon pennsylvania tennessee texas utah vermont virginia wisconsin
    wyoming"""
)
STATE_CODES = _words(
    """AL AK AZ AR CA CO CT DE FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ NM NY NC ND OH OK OR
    PA RI SC SD TN TX UT VT VA WA WV WI WY DC PR VI GU AS MP PW FM MH AA AE AP"""
)
COUNTRIES = _words(
    """afghanistan albania algeria andorra angola argentina armenia aruba australia austria azerbaijan bahamas bahrain
    bangladesh barbados belarus belgium belize benin bermuda bhutan bolivia bosnia botswana brazil brunei
    bulgaria burundi cambodia cameroon canada chile china colombia congo croatia cuba curacao cyprus czechia
    denmark djibouti dominica ecuador egypt england eritrea estonia eswatini ethiopia fiji finland france gabon
    gambia germany ghana gibraltar greece greenland grenada guadeloupe guam guatemala guinea guyana haiti
    honduras hungary iceland india indonesia iran iraq ireland israel italy jamaica japan jordan kazakhstan
    kenya kiribati korea kosovo kuwait kyrgyzstan laos latvia lebanon lesotho liberia libya liechtenstein
    lithuania luxembourg macau madagascar malawi malaysia maldives mali malta martinique mauritania mauritius
    mexico micronesia moldova monaco mongolia montenegro montserrat morocco mozambique myanmar namibia nauru
    nepal netherlands nicaragua niger nigeria norway oman pakistan palau palestine panama paraguay peru
    philippines poland portugal qatar romania russia rwanda samoa scotland senegal serbia seychelles singapore
    slovakia slovenia somalia spain sudan suriname swaziland sweden switzerland syria taiwan tajikistan tanzania
    thailand tibet togo tonga tunisia turkey turkmenistan tuvalu uganda ukraine uruguay uzbekistan vanuatu
    venezuela vietnam wales yemen zambia zimbabwe"""
)
COUNTRY_PHRASES = (
    "united kingdom|south africa|new zealand|czech republic|saudi arabia|sri lanka|costa rica|puerto rico|el salvador|"
    "hong kong|ivory coast|north korea|south korea|united arab emirates|dominican republic|papua new guinea|"
    "burkina faso|cape verde|sierra leone|san marino|trinidad and tobago|great britain|northern ireland|"
    "solomon islands|marshall islands|faroe islands|cayman islands|virgin islands|equatorial guinea|north macedonia|"
    "bosnia and herzegovina"
)
STREET_SUFFIXES = _words(
    """alley aly annex arcade ave avenue bayou beach bend blf bluff bluffs blvd bottom boulevard branch bridge brook
    brooks burg burgs bypass camp canyon cape causeway center centers circle circles cir cliff cliffs club
    common commons corner corners course court courts ct ctr cove coves creek crescent crest crossing crossroad
    curve cv dale dam divide dr drive drives estate estates expressway expy extension extensions ext fall falls
    ferry field fields flat flats ford fords forest forge forges fork forks fort freeway fwy garden gardens
    gateway glen glens green greens grove groves harbor harbors haven heights hts highway hill hills hollow hwy
    inlet island islands isle junction junctions key keys knoll knolls lake lakes land landing lane ln light
    lights loaf lock locks lodge loop mall manor manors meadow meadows mews mill mills mission motorway mount
    mountain mountains neck orchard oval overpass park parks parkway parkways pass passage path pike pine pines
    pkwy pl place plain plains plaza point points port ports prairie radial ramp ranch rapid rapids rd rest
    ridge ridges river road roads route row rue run shoal shoals shore shores skyway spring springs spur spurs
    square squares sq st station stravenue stream street streets str summit ter terrace throughway trace track
    trafficway trail trl trailer tunnel turnpike tpke underpass union unions valley valleys via viaduct view
    views village villages ville vista walk walks wall way ways well wells strasse straat gata gatan vej gade
    veien utca ut ulica"""
)
# What makes a capitalised phrase the name of a place of care, of work or of study.
FACILITIES = _words(
    """hospital hospitals clinic clinics center centre medical health healthcare infirmary hospice rehab rehabilitation
    sanatorium sanitarium pavilion pharmacy dialysis surgicenter imaging laboratory laboratories institute
    foundation manor nursing care wellness oncology orthopedics orthopaedics pediatrics cardiology associates
    clinic's school university college academy elementary seminary church temple synagogue mosque parish
    ministries shelter prison jail barracks library airport hotel ranch zoo museum"""
)
# The one that must stand last in such a phrase: "Mercy General Hospital", but not "General Health".
FACILITY_HEADS = _words(
    """hospital hospitals clinic clinics center centre infirmary hospice sanatorium pavilion pharmacy institute
    healthcare surgicenter manor school university college academy elementary church synagogue prison jail
    barracks practice physicians associates laboratories rehab"""
)
COMPANY_SUFFIXES = _words(
    """inc llc ltd plc corp corporation incorporated limited gmbh group co company sons partners holdings llp lp ag
    technologies solutions investments analytics systems consulting industries enterprises unlimited ventures
    software networks logistics financial securities construction manufacturing airlines bank insurance agency
    bros brothers"""
)
# In the name of a department rather than of a place.
DEPARTMENTS = _words(
    """allergy ambulatory anesthesia anticoagulation arthritis asthma behavioral birth bone breast burn cancer cardiac
    cardiology cardiothoracic cardiovascular cath chest child children children's clinic colorectal community
    convalescent coumadin counseling critical day dental dermatology detention diabetes diabetic dialysis
    digestive ear emergency endocrine endocrinology endoscopy ent eye family fertility foot gastroenterology
    general genetics geriatric gi gu gyn gynecology headache health heart hematology hepatitis high home
    hospital hypertension icu imaging immunology infectious infusion inpatient intensive internal kidney local
    long-term lung maternity medical medicine memory mental methadone movement multidisciplinary nephrology
    neurology neurosurgery newborn nursing ob obgyn obstetrics occupational oncology ophthalmology oral
    orthopaedic orthopedic orthopedics outpatient outside pacemaker pain palliative pediatric pediatrics
    physical plastic podiatry post pre prenatal primary private psychiatric psychiatry psychology public
    pulmonary radiation radiology regional rehab rehabilitation renal research rheumatology same sickle skilled
    sleep specialty speech spine sports stroke student subacute surgery surgical teaching therapy thoracic
    transplant trauma travel tuberculosis urgent urology va vascular veterans veteran's vision walk-in weight
    well wellness women women's womens wound university state county city middle high junior elementary grade
    nursery law graduate vocational technical trade charter sunday my his her our their its the a an this that
    to in at from of and for outside another different same old new first current previous prior other local
    nearby"""
)

# ---------------------------------------------------------------- time

# In English, French, German, Spanish, Portuguese, Dutch and Italian, with the number of the month.
MONTHS = {
    word: number
    for number, words in enumerate(
        """january jan januar janvier enero janeiro gennaio januari
        february feb februar fevrier febrero fevereiro febbraio februari
        march mar marz maerz mars marzo marco maart
        april apr avril abril aprile
        may mai mayo maio maggio mei
        june jun juni juin junio junho giugno
        july jul juli juillet julio julho luglio
        august aug aout agosto augustus
        september sep sept septembre septiembre setembro settembre
        october oct okt oktober octobre octubre outubro ottobre
        november nov novembre noviembre novembro
        december dec dez dezember decembre diciembre dezembro dicembre""".splitlines(),
        1,
    )
    for word in words.split()
}

# ---------------------------------------------------------------- people

TITLES = _words("mr mrs ms mx miss dr drs doctor prof professor nurse rev reverend sir madam rabbi fr sgt capt judge")
CREDENTIALS = _words(
    """md do rn np pa pac lpn cna phd dds dmd dpm od mbbs facs crna pharmd msw lcsw fnp aprn arnp dnp rd cnm jr sr ii
    iii iv esq ma ms msn bsn lvn emt rt pt ot slp mph facp faap"""
)
RELATIVES = _words(
    """wife husband spouse partner mother father mom dad son daughter brother sister sibling aunt uncle niece nephew
    cousin grandmother grandfather grandson granddaughter grandma grandpa stepmother stepfather stepson
    stepdaughter fiance fiancee boyfriend girlfriend friend neighbor roommate caregiver guardian kid child baby
    twin caretaker"""
)
# Short forms of first names and what they stand for.
NICKNAMES = {
    short: full.split()
    for short, full in (
        line.strip().split(": ")
        for line in """abby: abigail
        al: albert alan alfred alexander alvin
        alex: alexander alexandra alexis
        allie: allison alice
        andy: andrew anderson
        angie: angela angelina
        annie: ann anne anna
        art: arthur
        barb: barbara
        becky: rebecca
        ben: benjamin benedict
        bert: albert robert herbert
        beth: elizabeth bethany
        betsy: elizabeth
        betty: elizabeth
        bill: william
        billy: william
        bob: robert
        bobby: robert
        brad: bradley
        cathy: catherine kathleen
        charlie: charles charlotte
        chris: christopher christine christina
        chuck: charles
        cindy: cynthia
        cliff: clifford
        connie: constance
        dan: daniel
        danny: daniel
        dave: david
        deb: deborah debra
        debbie: deborah debra
        dick: richard
        don: donald
        dot: dorothy
        doug: douglas
        drew: andrew
        ed: edward edwin edgar
        eddie: edward edwin
        ellie: eleanor ellen
        frank: francis franklin
        fran: frances francine
        fred: frederick alfred
        gabe: gabriel
        gene: eugene
        gerry: gerald geraldine
        ginny: virginia
        greg: gregory
        hank: henry
        harry: harold henry
        jack: john jackson
        jackie: jacqueline
        jake: jacob
        jan: janet janice
        jen: jennifer
        jenny: jennifer
        jerry: gerald jerome jeremy
        jess: jessica jesse
        jessie: jessica
        jill: jillian
        jim: james
        jimmy: james
        joe: joseph
        joey: joseph
        johnny: john
        jon: jonathan
        josh: joshua
        judy: judith
        kate: katherine catherine kathryn kathleen
        kathy: katherine catherine kathryn kathleen
        katie: katherine catherine kathryn
        ken: kenneth
        kim: kimberly
        kris: kristin kristina kristine
        larry: lawrence
        len: leonard
        leo: leonard
        liz: elizabeth
        lou: louis louise
        lynn: linda
        maggie: margaret
        mandy: amanda
        marge: margaret marjorie
        matt: matthew
        meg: megan margaret
        mel: melvin melissa melanie
        mike: michael
        mickey: michael
        mindy: melinda
        mitch: mitchell
        molly: mary
        nan: nancy
        nate: nathan nathaniel
        nell: helen eleanor
        nick: nicholas
        norm: norman
        pam: pamela
        pat: patrick patricia
        patty: patricia
        peggy: margaret
        pete: peter
        phil: philip phillip
        polly: mary
        ray: raymond
        rich: richard
        rick: richard eric
        rob: robert
        robbie: robert
        ron: ronald
        rose: rosemary
        russ: russell
        sam: samuel samantha
        sandy: sandra alexander
        sally: sarah
        shelly: michelle
        stan: stanley
        steph: stephanie
        steve: steven stephen
        sue: susan suzanne
        susie: susan
        tammy: tamara
        ted: theodore edward
        teddy: theodore
        terry: terrence teresa theresa
        tess: theresa teresa
        theo: theodore
        tim: timothy
        tina: christina kristina
        toby: tobias
        tom: thomas
        tommy: thomas
        tony: anthony antonio
        trish: patricia
        val: valerie
        vicky: victoria
        vince: vincent
        walt: walter
        wendy: gwendolyn
        will: william
        willie: william
        zach: zachary""".splitlines()
    )
}

# ---------------------------------------------------------------- medicine

EPONYMS = _words(
    """achilles addison adson alzheimer apgar asperger auerbach babinski baker bankart barrett barre barr bartholin
    bartholins bartter basedow behcet bell bennett billroth bouchard bovie bowen braxton breslow broca brodie
    brown-sequard brudzinski brugada buck budd burkitt buerger chadwick chagas charcot cheyne chiari child
    chvostek clark colles coombs cooper courvoisier coxsackie creutzfeldt crohn crohns cullen cushing danlos
    debakey deming doppler douglas down dressler duchenne dukes dupuytren ebola ebstein ehlers ellis epstein
    ewing fabry fallot fanconi felty finkelstein fitz foley fournier friedreich galeazzi ganz gardner gaucher
    gehrig gerdy gilbert gleason glasgow glisson goodpasture gram graves grave's grey guillain guyon hartmann
    hashimoto hashimotos hawkins heberden heimlich henoch hicks hirschsprung hodgkin hodgkins hoffa hoffman
    hoffmann holter homan homans horner hunter huntington hurler jackson jakob jaeger johnson jones kaposi
    kartagener kawasaki kegel kelly kernig kerley killian kirschner klinefelter klippel koch kocher korotkoff
    korsakoff krukenberg kussmaul lachman langerhans lasegue legionella leydig lewy lhermitte lisfranc littre
    lynch lyme mallory marfan mcburney mcmurray meckel meckels melkersson meniere menieres merkel metzenbaum
    mirizzi mohs monteggia montgomery morton munchausen murphy neer nissen noonan norwood ogilvie ollier osgood
    osler paget pagets pancoast pap papanicolaou parkinson parkinsons penrose perthes peutz peyer peyronie
    pfannenstiel phalen pott poupart prader pratt prinzmetal pugh quervain ramsay ramstedt ranson raynaud
    raynauds reinke reiter rett reye richter rinne rome romberg roux rovsing salter schatzki scheuermann
    schlatter schlemm schoenlein schonlein sengstaken sertoli sheehan sims sjogren sjogrens skene smith snellen
    spurling spurlings still stokes sturge swan swan-ganz sydenham takayasu tanner tay thompson tinel tinels
    toni tourette trendelenburg trousseau turner valsalva virchow volkmann waldenstrom waldeyer watson weber
    wegener wegeners weiss wernicke westergren wharton whipple wilms wilson wolff wood yergason zenker zenkers
    zollinger"""
)
# "Turner syndrome", "Foley catheter", "Homans negative": the word before is not a person in the note.
EPONYM_NOUNS = _words(
    """abscess anastomosis anomaly aneurysm angle ankle antigen apparatus approach arch area arthritis ataxia atrophy
    bacillus bag band bodies body breathing bypass canal catheter cells chorea cirrhosis clamp classification
    complex contracture criteria cyst cysts deformity diarrhea disease disorder diverticulum drain dystrophy
    edema encephalopathy enzyme esophagus exercise exercises factor fasciitis fascia fever forceps fossa
    fracture fractures fundoplication gangrene ganglion glands grade graft hernia implant incision index
    infarction insufficiency iv ligament lines lymphoma malformation maneuver marker media membrane metaplasia
    microsurgery migraine mineral monitor myelopathy needle negative neoplasm nerve neuroma node nodes nodule
    nodules operation orifice palsy patch phenomenon pin plate plexus point position positive pouch procedure
    psychosis purpura reaction reflex repair retractor reflexes ring rod sarcoma scale scissors score sheath
    shunt sign signs smear sphincter splint staging stain stent stone stones stroke suture sutures syndrome
    syndromes tendinitis tendon test testing thyroiditis tremor triad tube tumor tumors ulcer ulcers valve
    varices vein virus wave wire wrap medical hydrochloride tetralogy"""
)
DRUGS = _words(
    """abilify accolate accupril accutane serevent cutivate zostrix levothroid cylert chantix ovcon invega pacerone
    cipro tramadol lasix aciphex actonel actos adalat adderall advair advil afrin aldactone aldara aleve allegra
    alka alphagan altace amaryl ambien amitiza anaprox androgel ancef aranesp arava aricept arimidex armour
    aromasin arthrotec asacol asmanex aspirin atacand ativan atrovent augmentin avalide avandia avapro avastin
    avelox avodart avonex azithromycin azmacort azulfidine bactrim bactroban benadryl benicar bentyl bextra
    biaxin boniva botox bumex buspar byetta caduet calan carafate carboplatin cardizem cardura casodex catapres
    ceclor celebrex celexa cellcept cialis cipro clarinex claritin cleocin clinoril clomid clozaril colace
    colcrys combivent compazine concerta copaxone cordarone coreg cortisporin coumadin cozaar crestor cymbalta
    cytomel cytotec cytoxan dalmane darvocet darvon decadron demerol depakote depo desyrel detrol dexilant
    diabeta diamox diflucan dilantin dilaudid diovan ditropan doxil duoneb duragesic dyazide effexor elavil
    eliquis emla enablex enbrel ensure epipen epogen erbitux eskalith estrace evista excedrin exelon famvir
    feldene femara fioricet flagyl flexeril flolan flomax flonase flovent focalin folate foradil fosamax fragmin
    gatorade gemzar geodon gleevec glucophage glucotrol glucovance glyburide haldol heparin herceptin humalog
    humira humulin hytrin hyzaar imdur imitrex imodium imuran inderal indocin invokana isordil januvia kaletra
    kayexalate keflex kenalog keppra klonopin klor kytril lamictal lamisil lanoxin lantus lasix lescol levaquin
    levemir levitra levoxyl lexapro librium lidoderm lioresal lipitor lithobid lodine loestrin lomotil lopid
    lopressor lortab losartan lotensin lotrel lotrimin lotrisone lovaza lovenox lunesta lupron luvox lyrica
    maalox macrobid macrodantin marcaine maxalt maxzide medrol megace melatonin mevacor miacalcin micardis
    micronase microzide milk minipress miralax mirapex mobic monistat monocryl monopril motrin mucinex mucomyst
    mylanta mysoline namenda naprosyn nasacort nasonex navelbine neosporin neulasta neupogen neurontin nexium
    niaspan nitro nizoral nolvadex norco normodyne norpace norvasc novolin novolog nubain nuvaring ocuvite
    omnicef ortho os-cal oxycontin pamelor parafon parlodel parnate patanol paxil pediasure pedialyte pepcid
    percocet peridex periostat permcath persantine phenergan plaquenil plavix pletal pneumovax ponstel pradaxa
    prandin pravachol prednisone premarin prempro prevacid prevnar prilosec prinivil pristiq procardia procrit
    prograf prolene proscar protonix provera proventil provigil prozac pulmicort pyridium qvar ranexa raptiva
    reglan relafen relpax remeron remicade renagel requip restasis restoril revatio rhinocort risperdal ritalin
    rituxan robaxin robitussin rocephin rogaine roxicet roxicodone rythmol sanctura sandimmune savella senokot
    septra serax seroquel serzone silvadene simvastatin sinemet sinequan singulair skelaxin soma sonata
    soriatane spiriva sporanox stadol stalevo strattera suboxone subutex sudafed symbicort synagis synthroid
    tagamet talwin tamiflu tapazole tarceva tarka tasmar taxol taxotere tegaderm tegretol tekturna temodar
    tenoretic tenormin terazol tessalon thorazine tiazac tobradex tofranil topamax toprol toradol trental
    trexall tricor trileptal trilipix tums tussionex tylenol tylox ultracet ultram unasyn univasc valium valtrex
    vancomycin vaseline vasotec ventolin verelan versed vesicare viagra vibramycin vicodin vicoprofen vicryl
    vioxx visine vistaril vitamin vivelle voltaren vytorin welchol wellbutrin xalatan xanax xarelto xeloda
    xenical xeroform xopenex xylocaine yasmin yaz zanaflex zantac zaroxolyn zebeta zelnorm zestoretic zestril
    zetia ziac zithromax zocor zofran zoladex zoloft zometa zomig zonegran zosyn zovirax zyban zyflo zyloprim
    zyprexa zyrtec zyvox jardiance ozempic trulicity victoza entresto farxiga tradjenta brilinta effient
    belsomra latuda vraylar rexulti trintellix viibryd keytruda opdivo ibrance stelara cosentyx otezla xeljanz
    tecfidera gilenya neocate similac enfamil pedvax gardasil zostavax shingrix moderna pfizer covid iodine
    lisinopril peg tobi zoster hib mmr tdap dtap ppd"""
)
# Words that stay words although census takers met them as names, and short forms that no dictionary has.
TERMS = _words(
    """abdomen abg acl afib afebrile alt anterior ast aortic avr axillary bilat bilateral bmi bph bpm bun cabg cad cbc
    cc chf chol ckd cns copd cor cpap cpr crp csf ct cva cvs cxr dc ddx dexa djd dm dnr dob dvt dx ecg echo ed
    eeg egd ekg emg ems ent eom eomi er ercp esr esrd etoh exam ext fh fhx fundi fx gad gcs gerd gi gm gu gyn
    hcg hct hdl heent hgb hiv hcv hbv hpi hpv hr hs htn hx ibs icd icu ibd inr iud iv ivf ivp jvd kub lad
    laparoscopic lbs ldl lft lfts lle llq lmp loc lue luq mca mcl mcg mg mi mmhg mri mrsa ms mva na nad ncat neg
    neuro nkda nph npo nsaid nsaids nsr nstemi ob od ortho os ou pe peg perrl perrla pet pft ph phx pmh pmhx pnd
    po post pr prn psa psh psychiatric pt ptsd pulm pvc pvd qd qid ra rbc rle rlq ros rom rr rrr rue ruq rv rx
    sh shx sob soc social stat stemi svt sx tah tb temp tia tid tm tms tmj tnm tonsils tpa tsh turp tx uri us
    uti uvula va vas vs vss wbc wnl wt yo yom yof lhm rhm lhf rhf cervix vagina lumbar sacral thoracic labs meds
    allergies vitals assessment plan impression complaint history subjective objective disposition discharge
    followup nonsmoker noncontributory nontender nondistended normocephalic atraumatic anicteric unremarkable
    normoactive supple edcourse genhx pastmedicalhx pastsurgical fam sochx cc procedures gynhx other_history
    hispanic latino latina caucasian african american asian white black hawaiian indian european medicaid
    medicare hmo ppo gravida para alcohol tobacco marijuana cocaine heroin methadone internet facebook google
    iphone english spanish french german chinese russian vietnamese christian catholic jewish muslim baptist god
    bible nurse doctor patient physician attending resident ms-contin x-ray xray ultrasound tylox sulfa kodak
    dictated monday tuesday wednesday thursday friday saturday sunday january february march april may june july
    august september october november december christmas easter thanksgiving spring summer fall winter ok okay
    yes no hi hello thanks i ii iii iv v vi vii viii ix x hodgkin's steri strips kerlix betadine hibiclens
    gelfoam surgicel login logon username userid email website online enterococcus atopic choledocholithiasis cyberknife
    heart tea accu-chek lap-band lima rima alta gravis asplenic mom dad colon workup checkup creatinine apgars sclerae
    ana asa spina bifida vera situ vitro vivo utero toto alba nigra cauda equina coli fossa sella tarda aureus
    albicans simplex vulgaris superglue dph iddm niddm bmp cmp ptt pt ams mvc mvr avm bso dc'd hemovac
    jackson-pratt k-wire ioban webril ace gore gore-tex dermabond"""
)
_MEDICAL_SUFFIX = re.compile(
    r".{2,}(?:itis|osis|oses|emia|emic|aemia|uria|uric|algia|ectomy|otomy|ostomy|oscopy|scopic|plasty|pexy|rrhaphy|"
    r"rrhea|rrhage|rrhagic|pathy|pathic|plegia|plegic|paresis|phobia|phagia|phasia|pnea|cardia|trophy|trophic|"
    r"graphy|gram|graphic|ology|ological|ologic|ologist|oma|omas|omatous|genic|genesis|lysis|lytic|megaly|"
    r"sclerosis|stenosis|cytosis|penia|philia|edema|derma|dermal|cele|ectasis|ectasia|tomy|"
    r"olol|pril|sartan|statin|azole|mycin|cillin|cycline|floxacin|dipine|tidine|triptan|prazole|setron|"
    r"caine|curium|profen|oxicam|parin|[lzx][iu]mab|tinib|[clftm][iao][a-z]?vir|zepam|zolam|barbital|codone|"
    r"morphone|thiazide|semide|gliptin|"
    r"glitazone|gliflozin|formin|terol|asone|isone|olone|onide|oxetine|triptyline|azepam|azine|idone|apine|"
    r"phylline|dronate|lukast|platin|rubicin|taxel|citabine|trexate|amide|cort|"
    r"ular|ulum|eous|iform|ileal|astinal|vertebral|thoracic|cranial|costal|femoral|tibial|fibular|ulnar|"
    r"lateral|ventral|dorsal|medial|distal|proximal|"
    r"(?:[lpr]a|[iou])?st?ic|[aeo]ptic|metric|logic|emic|[st]ional|[cst]inal|oral|ical|rous|eous|aceous|oidal?|"
    r"dontic|iatric|"
    r"(?:[cfgrt]er)ae|inine)"
)
_MEDICAL_PREFIX = re.compile(
    r"(?:hyper|hypo|neuro|cardio|gastro|hepato|nephro|pneumo|pulmo|thrombo|hemo|haemo|osteo|arthro|intra|peri|"
    r"retro|supra|"
    r"electro|echo|angio|cholecyst|cysto|dermato|encephal|erythro|fibro|hystero|immuno|laparo|laryngo|leuko|lympho|"
    r"mammo|meningo|naso|ophthalmo|patho|phleb|psycho|radio|rhino|spondyl|tachy|brady|thoraco|tracheo|uretero|vaso|"
    r"ventriculo|costo|normo|tele|non-?)[a-z]{4,}"
)
MEDICAL_WORDS = DRUGS | TERMS | EPONYMS


def is_medical_form(word: str) -> bool:
    """Whether the parts of a lower-case word make it a medical term; names can have such parts too."""
    return bool(_MEDICAL_SUFFIX.fullmatch(word) or _MEDICAL_PREFIX.fullmatch(word))


# Regular English endings and what the stem ends with.
INFLECTIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("'s", ("",)),
    ("ies", ("y",)),
    ("es", ("", "e", "is")),
    ("s", ("",)),
    ("ied", ("y",)),
    ("ed", ("", "e")),
    ("ing", ("", "e")),
    ("er", ("", "e")),
    ("ers", ("", "e")),
    ("est", ("", "e")),
    ("ly", ("", "le")),
    ("ily", ("y",)),
    ("ally", ("",)),
    ("ness", ("",)),
    ("ment", ("", "e")),
    ("able", ("", "e")),
    ("less", ("",)),
    ("ful", ("",)),
)
PREFIXES = ("non", "un", "re", "pre", "post", "over", "under", "anti", "sub", "mid", "out", "co")
