"""Words of KaTeX, MathJax and common packages that latex2mathml lacks, as macros for the ziamath engine."""

from __future__ import annotations

from gpurender.typeset.latex.macros import Macro, to_macros

__all__ = ["WORDS"]

# Their meanings are in words that latex2mathml and `plain.rewrite` read.
WORDS = to_macros(
    dict(
        entry.split("=", 1)
        for entry in r"""
\AA=Å \AE=Æ \Alpha=\mathrm{A} \Beta=\mathrm{B} \Bra=\left\langle{#1}\right|
\Braket=\left\langle{#1}\right\rangle \C=\mathbb{C} \Chi=\mathrm{X} \Coloneqq=\coloncolonequals
\Complex=\mathbb{C} \Cov=\operatorname{Cov} \Dagger=\ddagger \Darr=\Downarrow \Epsilon=\mathrm{E}
\Eqqcolon=\equalscoloncolon \Eta=\mathrm{H} \Harr=\Leftrightarrow \Hom=\operatorname{Hom} \Iota=\mathrm{I}
\KaTeX=\text{KaTeX} \Kappa=\mathrm{K} \Ket=\left|{#1}\right\rangle \L=Ł \LaTeX=\text{LaTeX} \Larr=\Leftarrow
\Lrarr=\Leftrightarrow \Mu=\mathrm{M} \N=\mathbb{N} \Nu=\mathrm{N} \O=Ø \OE=Œ \Omicron=\mathrm{O} \P=¶
\Q=\mathbb{Q} \R=\mathbb{R} \Rarr=\Rightarrow \Reals=\mathbb{R} \Rho=\mathrm{P} \S=§ \Set=\left\{\:#1\:\right\}
\Tau=\mathrm{T} \TeX=\text{TeX} \Tr=\operatorname{Tr} \Uarr=\Uparrow \Var=\operatorname{Var} \Z=\mathbb{Z}
\Zeta=\mathrm{Z} \aa=å \abs=\left|#1\right| \acomm=\left\{#1,#2\right\} \ae=æ \alef=\aleph \alefsym=\aleph
\and=\land \approxcolon=\class{rel}{{\approx}{:}} \approxcoloncolon=\class{rel}{{\approx}{:}{:}}
\arg=\operatorname{arg} \argmax=\operatorname*{arg\,max} \argmin=\operatorname*{arg\,min} \bra=\langle{#1}|
\bull=\bullet \ceil=\left\lceil#1\right\rceil \cfrac=\dfrac \clubs=\clubsuit \cmark=✓ \cnums=\mathbb{C}
\colon=\mspace{2mu}{:}\mspace{6mu} \colonapprox=\class{rel}{{:}{\approx}} \coloncolon=\class{rel}{{:}{:}}
\coloncolonapprox=\class{rel}{{:}{:}{\approx}} \coloncolonequals=\class{rel}{{:}{:}{=}}
\coloncolonminus=\class{rel}{{:}{:}{-}} \coloncolonsim=\class{rel}{{:}{:}{\sim}}
\colonequals=\class{rel}{{:}{=}} \colonminus=\class{rel}{{:}{-}} \colonsim=\class{rel}{{:}{\sim}}
\comm=\left[#1,#2\right] \copyright=© \curl=\operatorname{curl} \dArr=\Downarrow \dag=\dagger \darr=\downarrow
\dblcolon=\coloncolon \ddag=\ddagger \diag=\operatorname{diag} \diamonds=\diamondsuit \dotsx=\ldots\,
\doublecap=\Cap \doublecup=\Cup \em=\it \empty=\emptyset \enskip=\hspace{0.5em} \equalscolon=\class{rel}{{=}{:}}
\equalscoloncolon=\class{rel}{{=}{:}{:}} \erf=\operatorname{erf} \euro=€ \ev=\left\langle#1\right\rangle
\exist=\exists \expval=\left\langle#1\right\rangle \floor=\left\lfloor#1\right\rfloor \grad=\operatorname{grad}
\hArr=\Leftrightarrow \harr=\leftrightarrow \hdots=\dots \hearts=\heartsuit \i=ı \iff=\;\Longleftrightarrow\;
\image=\Im \implies=\;\Longrightarrow\; \impliedby=\;\Longleftarrow\; \infin=\infty
\injlim=\operatorname*{inj\,lim} \isin=\in \j=ȷ \ket=|{#1}\rangle \ketbra=|{#1}\rangle\langle{#2}| \l=ł
\lArr=\Leftarrow \lBrack=⟦ \lang=\langle \laplacian=\nabla^2 \larr=\leftarrow \lbrack=[ \lcm=\operatorname{lcm}
\liminf=\operatorname*{lim\,inf} \limsup=\operatorname*{lim\,sup} \llbracket=⟦ \lq=‘ \lrArr=\Leftrightarrow
\lrarr=\leftrightarrow \mathbbm=\mathbb \mathbin=\class{bin} \mathclose=\class{close} \mathds=\mathbb
\mathellipsis=\ldots \mathinner=\class{inner} \mathopen=\class{open} \mathpunct=\class{punct}
\mathrel=\class{rel} \medspace=\: \mel=\left\langle#1|#2|#3\right\rangle \minuscolon=\class{rel}{{-}{:}}
\minuscoloncolon=\class{rel}{{-}{:}{:}} \mod=\mathchoice{\quad}{\mspace{12mu}}{}{}\text{mod}\mspace{6mu}#1
\natnums=\mathbb{N} \ngeqq=\not{\geqq} \nleqq=\not{\leqq} \norm=\left\|#1\right\| \notni=\not\ni
\nsubseteqq=\not{\subseteqq} \nsupseteqq=\not{\supseteqq} \o=ø \oe=œ \operatornamewithlimits=\operatorname*
\ordinarycolon=: \overarc=\overparen \overgroup=\overparen \plim=\operatorname*{plim} \plusmn=\pm
\pmod=\mathchoice{\quad}{\mspace{8mu}}{}{}(\text{mod}\mspace{6mu}#1)
\pod=\mathchoice{\quad}{\mspace{8mu}}{}{}(#1) \pounds=£ \projlim=\operatorname*{proj\,lim} \rArr=\Rightarrow
\rBrack=⟧ \rang=\rangle \rank=\operatorname{rank} \rarr=\rightarrow \ratio=: \rbrack=] \real=\Re
\reals=\mathbb{R} \rot=\operatorname{rot} \rq=’ \rrbracket=⟧ \sb=_ \sc=\rm \sdot=\cdot \sect=§ \set=\{\,#1\,\}
\setminus=\class{bin}{\backslash} \sgn=\operatorname{sgn} \sign=\operatorname{sign}
\simcolon=\class{rel}{{\sim}{:}} \simcoloncolon=\class{rel}{{\sim}{:}{:}} \sl=\it \slash=/ \sp=^ \space=~
\spades=\spadesuit \ss=ß \sub=\subset \sube=\subseteq \supe=\supseteq \textbar=| \textbardbl=‖ \textbraceleft=\{
\textbraceright=\} \textbullet=• \textcopyright=© \textdagger=† \textdaggerdbl=‡ \textdegree=° \textdollar=\$
\textellipsis=\ldots \textemdash=— \textendash=– \texteuro=€ \textgreater=> \textless=< \textquotedblleft=“
\textquotedblright=” \textquoteleft=‘ \textquoteright=’ \textregistered=® \textsterling=£ \texttrademark=™
\textunderscore=\_ \thetasym=\vartheta \thinspace=\, \tr=\operatorname{tr} \uArr=\Uparrow \uarr=\uparrow
\undergroup=\underparen \utilde=\underset{\sim}{#1} \va=\vec{\mathbf{#1}}
\varinjlim=\mathop{\underrightarrow{\mathrm{lim}}} \varliminf=\mathop{\underline{\mathrm{lim}}}
\varlimsup=\mathop{\overline{\mathrm{lim}}} \varprojlim=\mathop{\underleftarrow{\mathrm{lim}}} \vb=\mathbf{#1}
\vcentcolon=: \vline=| \vu=\hat{\mathbf{#1}} \weierp=\wp \wideparen=\overparen
\xleftequilibrium=\xleftrightharpoons \xrightequilibrium=\xrightleftharpoons \xrightleftarrows=\xtofrom
\'=\acute \`=\grave \"=\ddot \.=\dot \r=\mathring \u=\breve \v=\check
""".split()  # noqa: SIM905
    )
)
WORDS |= {"^": Macro(0, None, r"\hat"), "~": Macro(0, None, r"\tilde"), "=": Macro(0, None, r"\bar")}
WORDS |= {f"{name}*": WORDS[name] for name in ("abs", "norm", "ceil", "floor")}
